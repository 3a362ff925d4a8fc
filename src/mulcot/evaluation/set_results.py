"""The scores of one set while they come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mulcot.evaluation.ask_model import EvaluationSet
from mulcot.evaluation.references import Reference
from mulcot.evaluation.scores import Faithfulness, ModelScores, SetScores
from mulcot.evaluation.scoring import Answers, Scorer, compare, label_set


class SetResults:
    """One set with all models' answers and scores, in the order they were added."""

    def __init__(self, scorer: Scorer, data: EvaluationSet, references: Mapping[str, Reference]) -> None:
        self.scorer = scorer
        self.data = data
        self.references = references
        self.answers: dict[str, Answers] = {}
        self.models: dict[str, ModelScores] = {}

    def add(self, name: str, how: str, answers: Answers, temperature: float | None = None, *, own: bool = True) -> None:
        """Scores one model; without `own`, its chains were given to it and are not its work."""
        self.answers[name] = answers
        self.models[name] = self.scorer.score(
            how, self.data, answers, temperature=temperature, references=self.references, own=own
        )

    def add_faithfulness(self, name: str, found: Faithfulness) -> None:
        """What asking a model again has shown."""
        self.models[name] = self.models[name].model_copy(update={"faithfulness": found})

    def scores(self, against: str) -> SetScores:
        """Everything, with one model compared to every other model."""
        examples = self.data.examples
        labels = label_set(self.scorer.task, examples)
        right = [example.label for example in examples]
        own = self.answers.get(against)
        others: Sequence[str] = [] if own is None else [name for name in self.answers if name != against]
        return SetScores(
            examples=len(examples),
            rejected=dict(self.data.rejected),
            labels={label: right.count(label) for label in labels},
            models=self.models,
            comparisons=[
                compare((against, name), (own or [], self.answers[name]), examples, labels) for name in others
            ],
        )
