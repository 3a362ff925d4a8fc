"""`scores.json`, key by key; docs/scores.schema.json is made of this. Shares lie between 0 and 1."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mulcot.evaluation.question_scores import PublishedRow, QuestionScores
from mulcot.settings import Settings

FORMAT = 1


class LabelScores(Settings):
    """One label of the set; a label that never occurs scores 0."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """How often it is right."""
    predicted: int
    """How often it was given."""


class ConfusionTable(Settings):
    """Right labels against given ones."""

    rows: list[str]
    """The right labels."""
    columns: list[str]
    """The given labels, and last `unparsed`: answers that are no label."""
    counts: list[list[int]]
    """A row per right label, a column per given one."""


class LabelQuality(Settings):
    """How good the labels are. An example without an answer is a miss."""

    accuracy: float
    macro_f1: float
    """Mean of F1 over the label set."""
    weighted_f1: float
    """Weighted by how often each label is right."""
    unparsed: int
    """Examples without a label: rejected ones, and replies that name none."""
    intervals: dict[str, tuple[float, float]]
    """95 % bootstrap intervals over examples; they say nothing about other seeds of training."""
    per_label: list[LabelScores]
    confusion: ConfusionTable


class AgreementScores(Settings):
    """The label against the label that the chain ends with."""

    examples: int
    agree: int
    differ: int
    unread: int
    """One of the two names no label."""
    share: float
    """Of all examples."""
    right_together: int
    right_label_only: int
    right_chain_only: int


class ReliabilityBin(Settings):
    """Answers of like confidence."""

    low: float
    high: float
    examples: int
    confidence: float
    accuracy: float


class CalibrationScores(Settings):
    """Whether probabilities mean what they say, at one temperature."""

    temperature: float
    ece: float
    """Expected calibration error."""
    brier: float
    """Over all labels, 0 to 2."""
    loss: float
    """Mean negative logarithm of the right label's probability."""
    accuracy: float
    confidence: float
    examples: int
    """Those whose scores are numbers."""
    bins: list[ReliabilityBin]


class ChainForm(Settings):
    """What the chains look like."""

    written: int
    complete: int
    """All fields are there, and one label."""
    cut: int
    """Did not end by themselves."""
    empty: int
    problems: dict[str, int]
    """Why no label was read, and how often."""
    characters: float
    """Mean length."""


class Grounding(Settings):
    """Statements about the picture, checked against what was drawn; for synthetic data only."""

    chains: int
    """Chains with a statement that can be checked."""
    statements: int
    true: int
    false: int
    uncheckable: int
    """Sentences about the picture in which nothing was recognised."""
    true_share: float | None
    """Of the statements that can be checked."""
    hallucinating: float | None
    """The share of chains that say something untrue about the picture."""
    everything: float | None
    """The share of true statements in the whole chain, text and conclusion included."""
    conflicts: int
    """Posts whose picture contradicts their words."""
    conflicts_found: float | None
    """The share of them whose chain says so."""
    false_alarms: float | None
    """The share of the others whose chain claims a contradiction."""


class PictureTest(Settings):
    """The same examples asked again with another picture."""

    examples: int
    accuracy: float
    """Against the right labels of the whole examples."""
    labels_changed: float
    chains_changed: float


class ChainTest(Settings):
    """The label asked for after a part of the chain, or after a foreign one."""

    examples: int
    after_fields: list[float]
    """How often the label after 0, 1, 2 ... fields is the one after the whole chain. High from the start: the chain
    explains what was already decided."""
    follows_foreign: float | None
    """How often a chain of another post, which ends with another label, takes the label along."""


class Faithfulness(Settings):
    """Whether chain and label depend on what they should."""

    swapped: PictureTest | None = None
    """With the picture of another example."""
    blank: PictureTest | None = None
    """With a grey picture."""
    chain: ChainTest | None = None


class ModelScores(Settings):
    """One model or baseline on one set."""

    how: str
    """Whose answers these are."""
    answered: int
    rejected: dict[str, int]
    """Examples that could not be asked, by reason."""
    labels: LabelQuality
    published_labels: LabelQuality | None = None
    """Generated replies read by the published code's rule."""
    agreement: AgreementScores | None = None
    calibration: list[CalibrationScores] = Field(default_factory=list)
    """As the model is, and with the temperature fitted on dev."""
    chains: ChainForm | None = None
    overlap: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """How near the chains come to the references, by variant: `paper` or, for Multimodal-CoT, `multimodal_cot`, and
    `standard`. `floor` is what a random other reference of the same label reaches, `pairs` how many were compared."""
    references: str | None = None
    """Where the references are from: `world`, `teacher` or `human`."""
    grounding: Grounding | None = None
    faithfulness: Faithfulness | None = None


class Comparison(Settings):
    """Two models on the same examples; differences are first minus second."""

    first: str
    second: str
    only_first: int
    """Examples that only the first has right."""
    only_second: int
    mcnemar_p: float
    differences: dict[str, tuple[float, float, float, float]]
    """Of accuracy, macro and weighted F1: value, low and high end of the 95 % interval, two-sided p."""


class SetScores(Settings):
    """One set of examples."""

    examples: int
    labels: dict[str, int]
    """How often each label is right."""
    models: dict[str, ModelScores]
    comparisons: list[Comparison] = Field(default_factory=list)
    questions: dict[str, QuestionScores] = Field(default_factory=dict)
    """What is special about questions with rationales, by model; for multimodal-cot."""
    rejected: dict[str, int] = Field(default_factory=dict)
    """Rows of another dataset that could not be used, by reason; those of the run's own are in its dataset stage."""
    published: list[PublishedRow] = Field(default_factory=list)
    """Published numbers on another dataset."""


class Scores(Settings):
    """All sets."""

    format: int = FORMAT
    task: str
    sets: dict[str, SetScores]
    published: list[PublishedRow] = Field(default_factory=list)
    """Published numbers on this dataset, for comparison; for multimodal-cot."""
    notes: list[str] = Field(default_factory=list)
    """What was left out, and why."""
