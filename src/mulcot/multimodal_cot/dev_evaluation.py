"""How good a fused T5 is on dev: Rouge-L of its rationales, or the accuracy of its answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.metrics.floors import other_references
from mulcot.metrics.rouge import published_rouge_l, standard_rouge_l
from mulcot.metrics.tokenisation import TokenCache
from mulcot.multimodal_cot.formats import answer_choices, read_rationale, read_reply
from mulcot.multimodal_cot.lettered_question import LetteredQuestion
from mulcot.multimodal_cot.model_format import ModelFormat
from mulcot.multimodal_cot.questions import T5Question
from mulcot.multimodal_cot.runner import T5Runner
from mulcot.training.loop import Score
from mulcot.training.processes import Machine


@dataclass(frozen=True)
class RationaleEvaluator:
    """Rouge-L as the published code chooses by; the variant of the package `rouge` decides between equals."""

    runner: T5Runner
    questions: Sequence[T5Question]
    references: Sequence[str]
    decoding: Decoding

    def __call__(self, machine: Machine) -> Score:
        """Every process writes its share."""
        mine = range(machine.rank, len(self.questions), machine.world)
        written = self.runner.write([self.questions[place] for place in mine], self.decoding)
        words = TokenCache()
        own = []
        for place, one in zip(mine, written, strict=True):
            said, there = read_rationale(one.text), self.references[place]
            own.append((standard_rouge_l(words.stems(said), words.stems(there)), published_rouge_l(said, there)))
        found = machine.gather(own)
        standard, published = fmean(pair[0] for pair in found), fmean(pair[1] for pair in found)
        return Score(standard, published, {"examples": len(found)}, measure="rouge_l")

    def floor(self) -> float | None:
        """What the rationale of another question would reach; None where there is no other."""
        words = TokenCache()
        others = other_references([None] * len(self.references))
        stems = [words.stems(text) for text in self.references]
        found = [standard_rouge_l(stems[n], stems[own]) for own, n in enumerate(others) if n is not None]
        return fmean(found) if found else None


@dataclass(frozen=True)
class LabelledQuestion:
    """A question whose right answer is known."""

    question: T5Question
    asked: LetteredQuestion
    label: str


@dataclass(frozen=True)
class AnswerEvaluator:
    """Accuracy on dev decides, then how likely the right answers were; the training data is there to be watched."""

    runner: T5Runner
    model_format: ModelFormat
    dev: Sequence[LabelledQuestion]
    train: Sequence[LabelledQuestion]
    decoding: Decoding

    def __call__(self, machine: Machine) -> Score:
        """Every process answers its share."""
        found = {name: self._examine(part, machine) for name, part in (("dev", self.dev), ("train", self.train))}
        details = {name: {"accuracy": pair[0]} for name, pair in found.items() if pair is not None}
        decisive = found["dev"] or found["train"] or (0.0, 0.0)
        return Score(*decisive, details)

    def _examine(self, examined: Sequence[LabelledQuestion], machine: Machine) -> tuple[float, float] | None:
        if not examined:
            return None
        mine = [examined[place] for place in range(machine.rank, len(examined), machine.world)]
        found = machine.gather(self._scored(mine) if self.model_format.scored else self._written(mine))
        return fmean(pair[0] for pair in found), fmean(pair[1] for pair in found)

    def _scored(self, mine: Sequence[LabelledQuestion]) -> list[tuple[bool, float]]:
        scores = self.runner.score([one.question for one in mine], [answer_choices(one.asked) for one in mine])
        out = []
        for one, (logprobs, _) in zip(mine, scores, strict=True):
            right = one.asked.labels.index(one.label)
            share = math.exp(logprobs[right]) / (sum(map(math.exp, logprobs)) or 1.0)
            out.append((max(range(len(logprobs)), key=lambda place, row=logprobs: row[place]) == right, share))  # type: ignore[misc]
        return out

    def _written(self, mine: Sequence[LabelledQuestion]) -> list[tuple[bool, float]]:
        written = self.runner.write([one.question for one in mine], self.decoding)
        out = []
        for one, reply in zip(mine, written, strict=True):
            said = one.asked.read(read_reply(reply.text, self.model_format.format).answer)  # type: ignore[arg-type]
            out.append((said == one.label, float(said is not None)))
        return out
