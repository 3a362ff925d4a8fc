"""Does the chain depend on the picture, and does the label follow the chain? Found by asking again.

The label after a part of a chain is scored like any label: the part is given as the beginning of the model's own
answer, and what is compared are the ways in which the answer could name its label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.example_encoder import ExampleEncoder
from mulcot.backbones.vlm.label_scoring import score_labels
from mulcot.evaluation.ask_model import EvaluationSet, EvalVariant, ask_set, labels_of
from mulcot.evaluation.scores import ChainTest, Faithfulness, PictureTest
from mulcot.predict.predictor import JointPredictor
from mulcot.progress import Reporter
from mulcot.records import Example, Prediction, Rejected
from mulcot.tasks.base import Task

Answered = tuple[Example, Prediction]


def measure_faithfulness(
    predictor: JointPredictor,
    data: EvaluationSet,
    answers: Sequence[Prediction | Rejected],
    folder: Path,
    reporter: Reporter,
) -> Faithfulness:
    """All tests on one model and set; `answers` are those it gave to the whole examples."""
    answered = [(e, a) for e, a in zip(data.examples, answers, strict=True) if isinstance(a, Prediction)]
    pictured = [(example, answer) for example, answer in answered if example.picture is not None]
    part = dataclasses.replace(data, examples=tuple(example for example, _ in pictured))
    found = {}
    for variant in (
        EvalVariant("student_swapped", "", view="swapped"),
        EvalVariant("student_blank", "", view="text_only"),
    ):
        if pictured:
            again = ask_set(predictor, variant, part, folder, reporter)
            found[variant.name] = _picture_test(pictured, again)
    return Faithfulness(
        swapped=found.get("student_swapped"),
        blank=found.get("student_blank"),
        chain=ChainTests(predictor, data, reporter).run(answered),
    )


def _picture_test(before: Sequence[Answered], after: Sequence[Prediction | Rejected]) -> PictureTest:
    labels, number = labels_of(after), len(before)
    chains = [answer.chain if isinstance(answer, Prediction) else None for answer in after]
    pairs = list(zip(before, labels, chains, strict=True))
    return PictureTest(
        examples=number,
        accuracy=sum(label == example.label for (example, _), label, _ in pairs) / number,
        labels_changed=sum(label != answer.label for (_, answer), label, _ in pairs) / number,
        chains_changed=sum(chain != answer.chain for (_, answer), _, chain in pairs) / number,
    )


class ChainTests:
    """Asks for the label after parts of chains."""

    def __init__(self, predictor: JointPredictor, data: EvaluationSet, reporter: Reporter) -> None:
        self.predictor = predictor
        self.encoder = ExampleEncoder(predictor.model, predictor.task, data.gallery)
        self.reporter = reporter

    def run(self, answered: Sequence[Answered]) -> ChainTest | None:
        """Examples whose chains are whole; None where there is none."""
        *names, last = self.predictor.task.fields
        whole = [(e, a) for e, a in answered if a.chain_label is not None and set(names) <= set(a.fields)]
        if not whole:
            return None
        parts = [[{name: a.fields[name] for name in names[:end]} for _, a in whole] for end in range(len(names) + 1)]
        examples = [example for example, _ in whole]
        with self.reporter.bar("evaluate: parts of chains", total=len(parts) + 1, unit="parts") as bar:
            labels = []
            for part in parts:
                labels.append(self._labels(examples, part, last))
                bar.advance()
            foreign = self._foreign(whole, names, last)
            bar.advance()
        final = labels[-1]
        early = [[a == b for a, b in zip(some, final, strict=True)] for some in labels[:-1]]
        return ChainTest(
            examples=len(whole),
            after_fields=[sum(same) / len(whole) for same in early],
            follows_foreign=foreign,
        )

    def _foreign(self, whole: Sequence[Answered], names: Sequence[str], last: str) -> float | None:
        """Every chain goes to the next example whose own one ends with another label."""
        pairs = []
        for place, (example, answer) in enumerate(whole):
            order = (*whole[place + 1 :], *whole[:place])
            other = next((a for _, a in order if a.chain_label != answer.chain_label), None)
            if other is not None and other.chain_label in self.predictor.task.labels(example):
                pairs.append((example, other))
        if not pairs:
            return None
        parts = [{name: other.fields[name] for name in names} for _, other in pairs]
        labels = self._labels([example for example, _ in pairs], parts, last)
        return sum(label == other.chain_label for label, (_, other) in zip(labels, pairs, strict=True)) / len(pairs)

    def _labels(self, examples: Sequence[Example], parts: Sequence[Mapping[str, str]], last: str) -> list[str]:
        """The likeliest label after each part."""
        found = []
        size = self.predictor.batch_size
        for start in range(0, len(examples), size):
            some = examples[start : start + size]
            asked = [self._question(e, part, last) for e, part in zip(some, parts[start : start + size], strict=True)]
            scores = score_labels(self.predictor.model, asked).tolist()
            for example, row in zip(some, scores, strict=True):
                labels = self.predictor.task.labels(example)
                found.append(max(zip(row, labels, strict=False), key=lambda pair: pair[0])[1])
        return found

    def _question(self, example: Example, part: Mapping[str, str], last: str) -> Encoded:
        return self.encoder.begun(example, *continuations(self.predictor.task, example, part, last))


def continuations(task: Task, example: Example, part: Mapping[str, str], last: str) -> tuple[str, list[str]]:
    """A chain up to where it names its label, and every way it can go on; cut at a space, as tokens are."""
    whole = [task.write_chain({**part, last: label}) for label in task.labels(example)]
    low, high = min(whole), max(whole)
    same = next((place for place, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    cut = max(low.rfind(" ", 0, same), 0)
    return low[:cut], [text[cut:] for text in whole]
