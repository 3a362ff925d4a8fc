"""Scores of one model's answers to one set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import fmean

from mulcot.evaluation.ask_model import EvaluationSet, labels_of
from mulcot.evaluation.grounding import ground
from mulcot.evaluation.references import Reference
from mulcot.evaluation.scores import (
    AgreementScores,
    CalibrationScores,
    ChainForm,
    Comparison,
    ConfusionTable,
    LabelQuality,
    LabelScores,
    ModelScores,
    ReliabilityBin,
)
from mulcot.metrics.agreement import agreement
from mulcot.metrics.calibration import apply_temperature, calibrate, fit_temperature
from mulcot.metrics.chains import ChainScorer, ChainScores
from mulcot.metrics.classification import classify
from mulcot.metrics.comparison import compare_labels, mcnemar
from mulcot.metrics.confusion import Confusion
from mulcot.metrics.floors import other_references
from mulcot.multimodal_cot.formats import RATIONALE
from mulcot.records import Example, Json, Prediction, Rejected
from mulcot.tasks.base import Task

Answers = Sequence[Prediction | Rejected]
LEAST = 1e-300
"""The smallest probability of a label that is possible."""


@dataclass(frozen=True)
class Scorer:
    """Scores answers of one task."""

    task: Task
    chain_scorer: ChainScorer | None = None
    """Compares chains with references, where that is wanted."""

    def score(
        self,
        how: str,
        data: EvaluationSet,
        answers: Answers,
        *,
        temperature: float | None = None,
        references: Mapping[str, Reference] | None = None,
        own: bool = True,
    ) -> ModelScores:
        """Everything that the answers allow; `temperature` is the one fitted on dev.

        Without `own`, the chains were given to the model: whether it follows them is scored, what they say is not.
        """
        found = [(e, a) for e, a in zip(data.examples, answers, strict=True) if isinstance(a, Prediction)]
        chained = [(example, answer) for example, answer in found if answer.chain is not None]
        written = chained if own else []
        overlap, source = self._overlap(written, references or {})
        return ModelScores(
            how=how,
            answered=len(found),
            rejected=dict(sorted(Counter(a.reason for a in answers if isinstance(a, Rejected)).items())),
            labels=self.quality(data.examples, labels_of(answers)),
            published_labels=self._published(data.examples, answers),
            agreement=_agreement(chained) if any(answer.label for _, answer in chained) else None,
            calibration=_calibration(self.task, found, temperature),
            chains=_form(self.task, [answer for _, answer in written]) if written else None,
            overlap=overlap,
            references=source,
            grounding=ground((example, answer.fields) for example, answer in written),
        )

    def quality(self, examples: Sequence[Example], given: Sequence[str | None]) -> LabelQuality:
        """The scores of labels; the label set is the task's, for questions that of the longest one."""
        labels = label_set(self.task, examples)
        right = [example.label or "" for example in examples]
        table = Confusion(given, right, labels)
        return LabelQuality(
            **classify(given, right, labels)._asdict(),
            unparsed=table.unparsed,
            intervals={name: tuple(ends) for name, ends in table.intervals().items()},
            per_label=[LabelScores(**one._asdict()) for one in table.per_label()],
            confusion=ConfusionTable(**table.to_json()),
        )

    def _published(self, examples: Sequence[Example], answers: Answers) -> LabelQuality | None:
        replies = [answer for answer in answers if isinstance(answer, Prediction) and answer.reply is not None]
        if not replies:
            return None
        return self.quality(examples, [a.published_label if isinstance(a, Prediction) else None for a in answers])

    def _overlap(
        self, chained: Sequence[tuple[Example, Prediction]], references: Mapping[str, Reference]
    ) -> tuple[dict[str, Json], str | None]:
        """Every variant against the references that there are."""
        known = [(e, answer.chain or "", references[e.id]) for e, answer in chained if e.id in references]
        if self.chain_scorer is None or not known:
            return {}, None
        sources = sorted({reference.source for _, _, reference in known})
        unexplained = [(e, answer.chain or "") for e, answer in chained if e.id not in references]
        pairs = [(chain, reference.text) for _, chain, reference in known]
        variants = self.chain_scorer.score(pairs, [chain for _, chain in unexplained])
        floors = self._floors([(e, one.text) for e, _, one in known], [e for e, _ in unexplained], self.chain_scorer)
        out = {
            name: {
                **scores.scores,
                **scores.beside,
                "pairs": scores.pairs,
                "floor": floors[name].scores if name in floors else None,
                "intervals": {key: list(ends) for key, ends in scores.intervals().items()},
                "how": scores.how,
                "notes": scores.notes,
            }
            for name, scores in variants.items()
        }
        return out, " and ".join(sources)

    def _floors(
        self, known: Sequence[tuple[Example, str]], unexplained: Sequence[Example], chain_scorer: ChainScorer
    ) -> dict[str, ChainScores]:
        """The reference of some other example in the place of every chain."""
        # The letter of a right answer says nothing about its question.
        group = (lambda _: None) if self.task.positional_labels else (lambda example: example.label)
        others = other_references([group(example) for example, _ in known])
        drawn = [(known[n][1], text) for (_, text), n in zip(known, others, strict=True) if n is not None]
        turns: dict[str | None, Iterator[str]] = {}
        for label in {group(example) for example, _ in known}:
            turns[label] = cycle([text for example, text in known if group(example) == label])
        alone = [next(turns[group(example)]) for example in unexplained if group(example) in turns]
        return chain_scorer.score(drawn, alone) if drawn else {}


def compare(
    names: tuple[str, str], pair: tuple[Answers, Answers], examples: Sequence[Example], labels: Sequence[str]
) -> Comparison:
    """Whether two models differ by more than chance."""
    right = [example.label or "" for example in examples]
    first, second = labels_of(pair[0]), labels_of(pair[1])
    test = mcnemar(
        [a == b for a, b in zip(first, right, strict=True)], [a == b for a, b in zip(second, right, strict=True)]
    )
    differences = compare_labels(first, second, right, labels)
    return Comparison(
        first=names[0],
        second=names[1],
        only_first=test.only_first,
        only_second=test.only_second,
        mcnemar_p=test.p_value,
        differences={name: (d.value, *d.interval, d.p_value) for name, d in differences.items()},
    )


def label_set(task: Task, examples: Sequence[Example]) -> tuple[str, ...]:
    """Every label that an example may have, in the task's order."""
    return tuple(dict.fromkeys(label for example in examples for label in task.labels(example)))


def fitted_temperature(task: Task, examples: Sequence[Example], answers: Answers) -> float | None:
    """The temperature under which these answers are likeliest to be right; None where there is nothing to fit on."""
    pairs = [(e, a) for e, a in zip(examples, answers, strict=True) if isinstance(a, Prediction)]
    rows, right = probability_table(task, pairs)
    return fit_temperature(rows, right) if rows else None


def probability_table(task: Task, found: Sequence[tuple[Example, Prediction]]) -> tuple[list[list[float]], list[int]]:
    """Label probabilities without any temperature, and the places of the right labels; broken scores are left out.

    0 stands for a label that the example cannot have, such as a choice that its question lacks, and for nothing else.
    """
    labels = label_set(task, [example for example, _ in found])
    rows, right = [], []
    for example, answer in found:
        if answer.probabilities and example.label in labels:
            rows.append([max(answer.probabilities[x], LEAST) if x in answer.probabilities else 0.0 for x in labels])
            right.append(labels.index(example.label))
    return rows, right


def _calibration(
    task: Task, found: Sequence[tuple[Example, Prediction]], fitted: float | None
) -> list[CalibrationScores]:
    rows, right = probability_table(task, found)
    if not rows:
        return []
    out = []
    for temperature in (1.0,) if fitted is None else (1.0, fitted):
        one = calibrate(apply_temperature(rows, temperature), right)
        values = {**one._asdict(), "bins": [ReliabilityBin(**point._asdict()) for point in one.bins]}
        out.append(CalibrationScores(temperature=temperature, examples=len(rows), **values))
    return out


def _agreement(chained: Sequence[tuple[Example, Prediction]]) -> AgreementScores:
    found = agreement(
        [answer.label for _, answer in chained],
        [answer.chain_label for _, answer in chained],
        [example.label or "" for example, _ in chained],
    )
    return AgreementScores(**found._asdict())


def _form(task: Task, answers: Sequence[Prediction]) -> ChainForm:
    return ChainForm(
        written=len(answers),
        complete=sum(_complete(task, answer) for answer in answers),
        cut=sum(answer.cut for answer in answers),
        empty=sum(not (answer.chain or "").strip() for answer in answers),
        problems=dict(sorted(Counter(answer.chain_problem for answer in answers if answer.chain_problem).items())),
        characters=fmean(len(answer.chain or "") for answer in answers),
    )


def _complete(task: Task, answer: Prediction) -> bool:
    """Whether nothing is missing: every field of the task's chains, or the one of a rationale, and an answer."""
    whole = {RATIONALE} if RATIONALE in answer.fields else set(task.fields)
    return whole <= set(answer.fields) and answer.chain_label is not None
