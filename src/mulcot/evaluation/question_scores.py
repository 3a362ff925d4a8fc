"""What `scores.json` says about questions with rationales, on top of what it says about every model."""

from __future__ import annotations

from pydantic import Field

from mulcot.settings import Settings


class GroupScore(Settings):
    """Accuracy on a part of the questions."""

    examples: int
    accuracy: float
    interval: tuple[float, float]
    """95 % bootstrap interval over questions."""


class WrittenAnswers(Settings):
    """Answers that were written instead of scored."""

    accuracy: float
    """By our reading of replies; what names no option is wrong."""
    unparsed: int
    published_rule: float
    """By the published rule `The answer is (X)`, exactly once; what it does not find is wrong."""
    published_unparsed: int
    published_random_choice: float
    """As the published code counts: what its rule does not find is drawn from five letters, however many options there
    are. This is the value to be expected of such draws."""


class Hallucination(Settings):
    """Whether rationales say untrue things, and whether that goes with wrong answers; for synthetic data only.

    What a rationale concludes is not counted as a statement of fact.
    """

    checked: int
    """Questions whose rationale has statements that can be checked."""
    untrue: int
    """Those with an untrue one."""
    wrong: int
    """Checked questions with a wrong answer."""
    wrong_untrue: int
    """Those of them whose rationale says something untrue."""
    wrong_untrue_share: float | None
    right_untrue: int
    """Right answers in spite of an untrue rationale."""
    about: dict[str, int]
    """What the untrue statements are about."""
    text_only_wrong_untrue: int | None = None
    """The same count for the same models without pictures."""
    repaired: int | None = None
    """Those of them that are answered rightly when the pictures are seen."""


class Errors(Settings):
    """What wrong answers look like."""

    followed: int
    """The rationale ends in the same wrong answer."""
    ignored: int
    """The rationale ends in the right answer, the answer differs."""
    other: int
    """The rationale ends in a third answer."""
    undecided: int
    """The rationale names no answer, or several."""
    without_rationale: int
    unparsed: int
    """There is no answer."""


class QuestionScores(Settings):
    """One model."""

    groups: dict[str, GroupScore]
    """NAT, SOC, LAN: natural, social, language science. TXT: with a hint. IMG: with a picture. NO: with neither. G1-6,
    G7-12: grades. AVG: all. A question with hint and picture is in TXT and in IMG, as published."""
    shortened: int = 0
    """Questions longer than the models read: the ends of rationale or hint were left out."""
    written: WrittenAnswers | None = None
    hallucination: Hallucination | None = None
    errors: Errors | None = None


class PublishedRow(Settings):
    """A published row, in percent; nothing of it was measured here."""

    model: str
    size: str = ""
    values: dict[str, float]
    source: str = Field(default="arXiv 2302.00923, version 5")
