"""The tiny T5 of multimodal-cot: made, and examined on questions it never saw."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.extractors.runtime.loaded import LoadedExtractor
from mulcot.extractors.tiny import TinyTower
from mulcot.multimodal_cot.formats import ANSWER
from mulcot.multimodal_cot.loading import Vision
from mulcot.multimodal_cot.model import FusionModel
from mulcot.multimodal_cot.network import FusionNetwork
from mulcot.multimodal_cot.random_model import fresh_fusion, fresh_t5
from mulcot.multimodal_cot.settings import TINY, T5Fusion
from mulcot.multimodal_cot.source_tokenizer import SourceTokenizer
from mulcot.progress import Reporter
from mulcot.tiny.build import reproducible
from mulcot.tiny.sizes import T5_STAGE, TrainingStage
from mulcot.tiny.t5_examples import BoardLesson, board_lesson, source_of
from mulcot.tiny.train_t5 import learn_boards, pack_lessons
from mulcot.world.science import LETTERS, make_question

SETTINGS = T5Fusion(model=TINY, dtype="fp32", max_source=224, max_target=128)
BATCH = 50
LONGEST = 80


def build_t5(out: Path, seed: int, reporter: Reporter, stage: TrainingStage = T5_STAGE) -> None:
    """Makes the T5 in the folder `out`; what was there before is replaced."""
    with reproducible():
        torch.manual_seed(seed)
        extractor = TinyTower().load()
        model = _fresh(extractor)
        learn_boards(model, extractor, stage, seed, reporter)
    shutil.rmtree(out, ignore_errors=True)
    model.network.half()
    model.save(out)
    for path in out.iterdir():
        path.chmod(0o644)  # safetensors writes files that only their owner can read


def _fresh(extractor: LoadedExtractor) -> FusionModel:
    t5, tokenizer = fresh_t5()
    fusion = fresh_fusion(extractor.width, t5.config.d_model)
    tower = TinyTower()
    said = {"name": tower.name, **tower.model_dump(mode="json")}
    vision = Vision(extractor.width, extractor.fingerprint(), said)
    return FusionModel(SETTINGS, FusionNetwork(t5, fusion, torch.float32), SourceTokenizer(tokenizer), vision)


@dataclass(frozen=True, slots=True)
class T5Scores:
    """What it can do; every share is between 0 and 1."""

    parameters: int
    right: dict[str, float]
    """For every kind of lesson, the share that is answered word for word."""
    answers: float
    """Accuracy on the questions themselves."""
    guessing: float
    """What guessing among their choices reaches."""

    def lines(self) -> list[str]:
        """One line per figure."""
        return [
            f"parameters    {self.parameters:,}",
            "lessons       " + "  ".join(f"{kind} {share:.3f}" for kind, share in self.right.items()),
            f"answers       {self.answers:.3f}, guessing {self.guessing:.3f}",
        ]


def evaluate_t5(model: FusionModel, count: int, seed: int = 0) -> T5Scores:
    """Lessons and answers on `count` unseen questions each."""
    extractor = TinyTower().load()
    lessons = [board_lesson(seed, number, "test") for number in range(count)]
    right: dict[str, list[bool]] = defaultdict(list)
    for part in _parts(lessons):
        batch, _ = pack_lessons(model, extractor, part, taught=False)
        for one, written in zip(part, model.generate(batch, Decoding(max_tokens=LONGEST)), strict=True):
            right[one.kind].append(written.text.strip() == one.target)
    answers, guessing = answering(model, extractor, count, seed)
    return T5Scores(
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        right={kind: sum(marks) / max(1, len(marks)) for kind, marks in sorted(right.items())},
        answers=answers,
        guessing=guessing,
    )


def answering(model: FusionModel, extractor: LoadedExtractor, count: int, seed: int) -> tuple[float, float]:
    """Accuracy on unseen questions, and that of guessing, which it should equal before any fine-tuning."""
    truths = [make_question(seed, "test", number) for number in range(count)]
    asked = [BoardLesson(one.question, "answer", source_of(one.question, ANSWER), "") for one in truths]
    right, start = 0, 0
    for part in _parts(asked):
        batch, _ = pack_lessons(model, extractor, part, taught=False)
        choices = [[f"The answer is ({letter})." for letter in LETTERS[: len(one.question.choices)]] for one in part]
        for truth, scores in zip(truths[start:], model.score(batch, choices), strict=False):
            right += LETTERS[scores.index(max(scores))] == truth.label
        start += len(part)
    return right / count, sum(1 / len(one.question.choices) for one in truths) / count


def _parts(lessons: Sequence[BoardLesson]) -> list[Sequence[BoardLesson]]:
    return [lessons[start : start + BATCH] for start in range(0, len(lessons), BATCH)]
