"""Stage `answer`: a second fused T5 answers from question, picture and rationale; or one alone does all of it.

model/          the best state by accuracy on dev
metrics.jsonl   losses and looks at dev
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.datasets.base import Dataset
from mulcot.errors import StageMissing
from mulcot.multimodal_cot.formats import AnswerFormat, SourcedRationale, human_rationale
from mulcot.multimodal_cot.model_format import ModelFormat
from mulcot.multimodal_cot.rationales import EXPLAINED, TAUGHT, Authors, find_rationales, load_explained, load_taught
from mulcot.multimodal_cot.settings import T5Fusion
from mulcot.records import Example, Json
from mulcot.stages.base import Job, Need, Stage, stages
from mulcot.stages.shared_captions import need_captions
from mulcot.stages.shared_t5_training import (
    PUBLISHED,
    WATCH,
    all_examples,
    captioned,
    features_of,
    fusion_problems,
    load_runner,
    open_machine,
    teacher_chains,
    train_t5,
)
from mulcot.stages.shared_training import (
    MODEL,
    STATES,
    DevEvaluation,
    examples_of,
    keep_model,
    training_examples,
    warn_of_one_answer,
)
from mulcot.tasks.base import Task
from mulcot.training.settings import Training

if TYPE_CHECKING:
    from mulcot.multimodal_cot.dev_evaluation import AnswerEvaluator, LabelledQuestion
    from mulcot.multimodal_cot.runner import T5Runner

NOTHING = SourcedRationale("", "none")
WITH_RATIONALE = ("QCM-RA", "QCM-AR")
ROOM = 512


@stages.register("answer")
class AnswerStage(Stage):
    """The second of the two models."""

    about: ClassVar[str] = "The model that answers, and how it learns."
    parallel: ClassVar[bool] = True
    bulky: ClassVar[tuple[str, ...]] = STATES
    scratch: ClassVar[tuple[str, ...]] = STATES

    format: AnswerFormat = "QCMG-A"
    """`QCMG-A` reads the rationale that the first model wrote. With one model alone: `QCM-A` answers at once, `QCM-RA`
    explains first, `QCM-AR` explains afterwards."""
    captions: bool = False
    """Make captions part of the context."""
    rationales: Literal["gold", "own", "cross_fitted"] = "gold"
    """Which rationales QCMG-A is trained on: those the first model was taught, as published; those it wrote about its
    own training data; or those that models wrote which had not seen the example (`rationale.folds`), the nearest to
    what is read in the end. A question that nobody explained is always read with what the first model wrote."""
    published_mix: bool = False
    """Train on lecture and explanation though explanations alone are read in the end, as the published code does."""
    authors: Authors = "human_first"
    """Whose rationales `QCM-RA` and `QCM-AR` learn; QCMG-A takes those of the stage rationale."""
    backbone: T5Fusion = T5Fusion(max_target=64)
    """Which model learns."""
    training: Training = PUBLISHED
    """How long and how fast."""
    watch: DevEvaluation = WATCH
    """What is evaluated during training: by default 400 examples of dev, with `dev: null` all of them, as published."""
    decoding: Decoding = Decoding(max_tokens=64)
    """How `QCM-RA` and `QCM-AR` are written on dev; the other formats are scored."""

    @model_validator(mode="before")
    @classmethod
    def _make_room(cls, data: Any) -> Any:
        """Formats with a rationale have its published length, 512, where no other is given."""
        if not isinstance(data, dict) or data.get("format") not in WITH_RATIONALE:
            return data
        for name, key in (("backbone", "max_target"), ("decoding", "max_tokens")):
            given = data.get(name, {})
            if isinstance(given, dict):
                data = {**data, name: {key: ROOM, **given}}
        return data

    def needs(self) -> tuple[Need, ...]:
        """The examples; the rest depends on the options."""
        found = [Need("dataset")]
        if self.authors == "teacher":
            found.append(Need("teacher", "authors", "teacher needs a section teacher"))
        if self.format == "QCMG-A":
            text = "QCMG-A reads what the stage rationale writes; add that section, or choose QCM-A"
            found.append(Need("rationale", "format", text))
        return tuple(found)

    def wants(self, earlier: Sequence[str]) -> Iterable[str]:
        """The teacher's chains, what the pictures look like, and what the first model wrote."""
        return (name for name in earlier if name in ("teacher", "features", "rationale"))

    def unmet(self, others: Mapping[str, Stage]) -> Iterator[Need]:
        """Other models' rationales are there only where the stage rationale trains such models."""
        yield from super().unmet(others)
        rationale = others.get("rationale")
        if self.format == "QCMG-A" and self.rationales == "cross_fitted" and not getattr(rationale, "folds", 1):
            yield Need("rationale", "rationales", "cross_fitted needs rationale.folds, such as 5")

    def unread(self, others: Mapping[str, Stage]) -> Iterator[str]:
        """One model alone needs no other to explain."""
        if self.format != "QCMG-A" and "rationale" in others:
            yield f"answer.format {self.format} does not read what the section rationale writes"

    def extras(self) -> tuple[str, ...]:
        """The model runs here."""
        return ("train",)

    def problems(self, task: Task, dataset: Dataset) -> list[str]:
        """See `fusion_problems`, and options that do not go together."""
        problems = fusion_problems(self.backbone, self.training)
        if self.published_mix and (self.format != "QCMG-A" or self.rationales != "gold"):
            problems.append("published_mix is for format QCMG-A with rationales: gold")
        return problems

    def run(self, job: Job) -> Json:
        """Trains, or continues, and keeps the best state."""
        if self.format == "QCMG-A" and "rationale" not in job.before:
            hint = "Add a section `rationale`, or set answer.format to QCM-A, QCM-RA or QCM-AR."
            raise StageMissing("answer.format QCMG-A reads the rationales of the stage rationale", hint=hint)
        features = features_of(job)
        machine = open_machine(job, self.training, features)
        train, reasons = captioned(job, training_examples(job)), self._reasons(job)
        if self.captions:
            need_captions(train)
        if self.format in WITH_RATIONALE:
            train = [example for example in train if example.id in reasons]
        watched = self.watch.examples(captioned(job, examples_of(job, "dev")), train, job.seed)
        runner = load_runner(self.backbone, job, features, self.watch.batch_size)
        questions = [
            self._model_format.question(job.task, one, reasons.get(one.id, NOTHING).text, taught=True) for one in train
        ]
        result, cut = train_t5(
            job,
            runner,
            questions,
            machine=machine,
            folder=job.folder.path,
            label=self.name,
            training=self.training,
            judge=self._judge(job, runner, watched, reasons),
        )
        if machine.rank == 0:
            keep_model(job, result.best_folder, job.folder / MODEL, self._answering_format(job).save)
        machine.release()
        warn_of_one_answer(job, self.name, result.best.value, *watched)
        sources = Counter(reasons.get(example.id, NOTHING).source for example in train)
        told = {f"by_{name}": number for name, number in sorted(sources.items())} if reasons else {}
        accuracy = round(result.best.value, 4)
        if self.captions:
            told["captioned"] = sum(bool(example.caption) for example in train)
        return {"taught": len(train), **told, "best_step": result.best_step, "dev_accuracy": accuracy, **cut}

    @property
    def _model_format(self) -> ModelFormat:
        return ModelFormat(format=self.format, captions=self.captions)

    def _answering_format(self, job: Job) -> ModelFormat:
        """The format with the place of the model that writes the rationales."""
        if self.format != "QCMG-A":
            return self._model_format
        other = os.path.relpath(job.before["rationale"] / MODEL, job.folder / MODEL)
        return self._model_format.model_copy(update={"rationale_model": other})

    def _reasons(self, job: Job) -> Mapping[str, SourcedRationale]:
        """The rationales of the training examples, by id."""
        if self.format == "QCM-A":
            return {}
        if self.format != "QCMG-A":
            return find_rationales(training_examples(job), teacher_chains(job), self.authors, lecture=False)
        before = job.before["rationale"]
        written = _said(before / EXPLAINED, "model")
        if self.rationales == "gold":
            taught = load_taught(before / TAUGHT)
            # In the end the model explains every question, so here it explains those that nobody explained.
            return {**written, **(self._mixed(job, taught) if self.published_mix else taught)}
        if self.rationales == "own":
            return written
        return {**written, **_said(before / EXPLAINED, "cross_fitted")}  # what nobody explained is in no fold

    def _mixed(self, job: Job, taught: Mapping[str, SourcedRationale]) -> Mapping[str, SourcedRationale]:
        """With the lecture, where a person wrote the rationale."""
        lectures = {one.id: human_rationale(one, lecture=True) for one in all_examples(job)}
        mixed = {key: lectures.get(key) if reason.source == "human" else None for key, reason in taught.items()}
        return {key: mixed[key] or reason for key, reason in taught.items()}

    def _judge(
        self,
        job: Job,
        runner: T5Runner,
        watched: tuple[list[Example], list[Example]],
        reasons: Mapping[str, SourcedRationale],
    ) -> AnswerEvaluator:
        """On dev with the rationales that the first model wrote."""
        from mulcot.multimodal_cot.dev_evaluation import AnswerEvaluator

        written = {}
        if self.format == "QCMG-A":
            written = {k: row.text for k, row in load_explained(job.before["rationale"] / EXPLAINED, "model").items()}
        dev, watching = watched
        return AnswerEvaluator(
            runner,
            self._model_format,
            dev=[self._examined(job.task, one, written.get(one.id, "")) for one in dev],
            train=[self._examined(job.task, one, reasons.get(one.id, NOTHING).text) for one in watching],
            decoding=self.decoding,
        )

    def _examined(self, task: Task, example: Example, rationale: str) -> LabelledQuestion:
        from mulcot.multimodal_cot.dev_evaluation import LabelledQuestion

        question = self._model_format.question(task, example, rationale)
        return LabelledQuestion(question, self._model_format.asked(task, example), example.label or "")


def _said(path: Path, source: str) -> dict[str, SourcedRationale]:
    """What was written about training examples, by id."""
    return {
        key: SourcedRationale(row.text, row.source) for key, row in load_explained(path, source, ("train",)).items()
    }
