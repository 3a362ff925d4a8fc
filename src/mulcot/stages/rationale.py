"""Stage `rationale`: a fused T5 learns to explain, and then explains what the answer stage reads.

model/            the best state by Rouge-L on dev
folds/<n>/        with `folds`, models that have not seen a part of the training data
taught.jsonl      the rationales it learned from, and who wrote them
explained.jsonl   the rationales it wrote about train and dev; those of other splits are written when they are evaluated
metrics.jsonl     losses and looks at dev
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.datasets.base import Dataset
from mulcot.errors import DataError, NothingUsable, TrainingError
from mulcot.features import FeatureStore
from mulcot.multimodal_cot.formats import RationaleFormat, SourcedRationale, read_rationale
from mulcot.multimodal_cot.model_format import ModelFormat
from mulcot.multimodal_cot.rationales import (
    EXPLAINED,
    TAUGHT,
    Authors,
    WrittenRationale,
    find_rationales,
    load_explained,
    save_taught,
)
from mulcot.multimodal_cot.settings import T5Fusion
from mulcot.records import Example, Json, read_lines
from mulcot.rundir import write_text
from mulcot.settings import volatile
from mulcot.stages.base import Job, Need, Stage, stages
from mulcot.stages.shared_captions import need_captions
from mulcot.stages.shared_t5_training import (
    PUBLISHED,
    WATCH,
    all_examples,
    features_of,
    fusion_problems,
    load_runner,
    open_machine,
    teacher_chains,
    train_t5,
)
from mulcot.stages.shared_training import MODEL, STATES, DevEvaluation, keep_model, part_of
from mulcot.tasks.base import Task
from mulcot.training.settings import Training

if TYPE_CHECKING:
    from mulcot.multimodal_cot.dev_evaluation import RationaleEvaluator
    from mulcot.multimodal_cot.runner import T5Runner
    from mulcot.training.loop import Result
    from mulcot.training.processes import Machine

READ = ("train", "dev")


@stages.register("rationale")
class RationaleStage(Stage):
    """The first of the two models."""

    about: ClassVar[str] = "The model that explains, and how it learns; left out, one model does everything."
    parallel: ClassVar[bool] = True
    bulky: ClassVar[tuple[str, ...]] = (*STATES, "folds", "explained/")
    scratch: ClassVar[tuple[str, ...]] = (*STATES, *(f"folds/*/{name}" for name in STATES))

    format: RationaleFormat = "QCM-E"
    """`QCM-E` learns explanations, `QCM-LE` lecture and explanation."""
    captions: bool = False
    """Make captions part of the context."""
    authors: Authors = "human_first"
    """Whose rationales are learned: those of people, and of the teacher stage where there is none; or of one alone."""
    backbone: T5Fusion = T5Fusion()
    """Which model learns."""
    training: Training = PUBLISHED
    """How long and how fast."""
    watch: DevEvaluation = WATCH
    """What is evaluated during training: by default 400 examples of dev, with `dev: null` all of them, as published.
    Training examples count only where dev has no rationale."""
    decoding: Decoding = Decoding()
    """How rationales are written."""
    folds: int = Field(default=0, ge=0)
    """Cut the training data in so many parts, and let each be explained by a model that learned from the others, for
    `answer.rationales: cross_fitted`. 0 trains no further models."""
    shard: int = volatile(256, ge=1)
    """Examples per file while rationales are written; an interrupted stage continues after the last whole one."""

    @field_validator("folds")
    @classmethod
    def _check_folds(cls, value: int) -> int:
        if value == 1:
            raise ValueError("one fold leaves nothing to learn from; 0, or 2 and more")
        return value

    def needs(self) -> tuple[Need, ...]:
        """The examples, and the teacher where it alone is learned from."""
        teacher = Need("teacher", "authors", "teacher needs a section teacher")
        return (Need("dataset"), *([teacher] if self.authors == "teacher" else []))

    def wants(self, earlier: Sequence[str]) -> Iterable[str]:
        """The teacher's chains, and what the pictures look like."""
        return (name for name in earlier if name in ("teacher", "features"))

    def extras(self) -> tuple[str, ...]:
        """The model runs here."""
        return ("train",)

    def problems(self, task: Task, dataset: Dataset) -> list[str]:
        """See `fusion_problems`."""
        return fusion_problems(self.backbone, self.training)

    def run(self, job: Job) -> Json:
        """Trains what is not yet trained, then writes what is not yet written."""
        from mulcot.training.stopping import memory_advice

        features = features_of(job)
        machine = open_machine(job, self.training, features)
        examples = all_examples(job)
        if self.captions:
            need_captions(examples)
        reasons = find_rationales(examples, teacher_chains(job), self.authors, lecture=self.format == "QCM-LE")
        train = [example for example in examples if example.split == "train" and example.id in reasons]
        if not train:
            hint = "Add a section `teacher`, or set rationale.authors."
            raise NothingUsable("no training example has a rationale", hint=hint)
        if machine.rank == 0:
            save_taught(job.folder / TAUGHT, reasons)
        folder = job.folder.path
        result, cut = self._teach(job, machine, features, folder, self.name, train, reasons)
        folds = _folds(train, self.folds)
        for number, fold in enumerate(folds):
            held_out = {example.id for example in fold}
            rest = [example for example in train if example.id not in held_out]
            where, label = folder / "folds" / str(number), f"{self.name}, fold {number + 1} of {self.folds}"
            self._teach(job, machine, features, where, label, rest, reasons)
        if machine.rank == 0:
            hint = f"Lower rationale.watch.batch_size (now {self.watch.batch_size}); results stay the same."
            with memory_advice("rationale", hint):
                self._explain(job, features, examples, folds)
        counts = _counts(job, reasons, train)
        if self.captions:
            counts["captioned"] = sum(bool(example.caption) for example in train)
        return {**counts, "best_step": result.best_step, "dev_rouge_l": round(result.best.value, 4), **cut}

    def _teach(
        self,
        job: Job,
        machine: Machine,
        features: FeatureStore | None,
        folder: Path,
        label: str,
        train: Sequence[Example],
        reasons: dict[str, SourcedRationale],
    ) -> tuple[Result, Json]:
        """One model, kept at `folder / model`."""
        runner = load_runner(self.backbone, job, features, self.watch.batch_size)
        questions = [self._model_format.question(job.task, one, reasons[one.id].text, taught=True) for one in train]
        judge = self._judge(job, runner, all_examples(job), reasons)
        result, cut = train_t5(
            job,
            runner,
            questions,
            machine=machine,
            folder=folder,
            label=label,
            training=self.training,
            judge=judge,
        )
        if machine.rank == 0:
            keep_model(job, result.best_folder, folder / MODEL, self._model_format.save)
        machine.release()
        floor = judge.floor()
        if floor is not None and result.best.value <= floor:
            job.warn(
                f"{label}: ROUGE-L is {result.best.value:.1%} on {len(judge.questions):,} examples at best, and "
                f"{floor:.1%} for the rationale of another question: it has not learned to explain. Look at its "
                f"curves, then at training.epochs and training.learning_rate, or for more rationales"
            )
        return result, cut

    @property
    def _model_format(self) -> ModelFormat:
        return ModelFormat(format=self.format, captions=self.captions)

    def _judge(
        self, job: Job, runner: T5Runner, examples: Sequence[Example], reasons: dict[str, SourcedRationale]
    ) -> RationaleEvaluator:
        """On dev, or on training data where dev has no rationale."""
        from mulcot.multimodal_cot.dev_evaluation import RationaleEvaluator

        known = [example for example in examples if example.id in reasons]
        dev = part_of([example for example in known if example.split == "dev"], self.watch.dev, job.seed)
        if not dev:
            dev = part_of([one for one in known if one.split == "train"], self.watch.train or None, job.seed)
        questions = [self._model_format.question(job.task, example) for example in dev]
        return RationaleEvaluator(runner, questions, [reasons[example.id].text for example in dev], self.decoding)

    def _explain(
        self, job: Job, features: FeatureStore | None, examples: Sequence[Example], folds: Sequence[Sequence[Example]]
    ) -> None:
        """Writes explained.jsonl: train and dev by the model, then the training examples by those of their folds."""
        parts: list[list[str]] = []
        by_split = [[example for example in examples if example.split == split] for split in READ]
        parts += self._write(job, features, job.folder / MODEL, "model", [part for part in by_split if part])
        for number, fold in enumerate(folds):
            folder = job.folder / "folds" / str(number) / MODEL
            parts += self._write(job, features, folder, f"fold-{number}", [fold])
        write_text(job.folder / EXPLAINED, "".join(line for part in parts for line in part))
        if not any(row.text.strip() for row in load_explained(job.folder / EXPLAINED, "model").values()):
            hint = "Train it longer, or at another rate: rationale.training, and metrics.jsonl for its curves."
            raise NothingUsable("the model that explains writes nothing: every rationale is empty", hint=hint)

    def _write(
        self,
        job: Job,
        features: FeatureStore | None,
        model: Path,
        name: str,
        groups: Sequence[Sequence[Example]],
    ) -> Iterator[list[str]]:
        """The lines of one model, shard by shard; shards that are there are read."""
        runner = load_runner(model, job, features, self.watch.batch_size)
        total = sum(map(len, groups))
        who = "model" if name == "model" else f"fold {int(name.removeprefix('fold-')) + 1} of {self.folds}"
        with job.reporter.bar(f"rationale: {who} explains", total=total, unit="examples") as bar:
            for group in groups:
                for number, start in enumerate(range(0, len(group), self.shard)):
                    part = group[start : start + self.shard]
                    path = job.folder / f"explained/{name}-{part[0].split}-{number:05d}.jsonl"
                    if not _is_whole(path, part):
                        write_text(path, "".join(self._lines(job, runner, name, part)))
                    yield path.read_text("utf-8").splitlines(keepends=True)
                    bar.advance(len(part))

    def _lines(self, job: Job, runner: T5Runner, name: str, part: Sequence[Example]) -> Iterator[str]:
        written = runner.write([self._model_format.question(job.task, example) for example in part], self.decoding)
        for example, one in zip(part, written, strict=True):
            yield WrittenRationale(
                example_id=example.id,
                split=example.split,
                source="model" if name == "model" else "cross_fitted",
                text=read_rationale(one.text),
                tokens=len(one.tokens),
                complete=one.complete,
            ).to_line()


def _folds(train: Sequence[Example], number: int) -> list[list[Example]]:
    """The training data dealt out in parts of equal size."""
    if len(train) < number:
        message = f"{len(train)} training examples cannot be cut in {number} folds"
        raise DataError(message, hint="Lower rationale.folds.")
    return [list(train[start::number]) for start in range(number)]


def _is_whole(path: Path, part: Sequence[Example]) -> bool:
    """Whether a shard holds exactly these examples; `shard` may have been changed since."""
    if not path.exists():
        return False
    try:
        found = [row.example_id for row in read_lines(path, WrittenRationale)]
    except (ValueError, TypeError):
        raise TrainingError(f"{path} is damaged", hint="Delete it; the same command writes it again.") from None
    return found == [example.id for example in part]


def _counts(job: Job, reasons: dict[str, SourcedRationale], train: Sequence[Example]) -> Json:
    """How many rationales were learned, by their authors, and what was written."""
    authors = Counter(reasons[example.id].source for example in train)
    counts: Json = {"taught": len(train), **{f"by_{name}": number for name, number in sorted(authors.items())}}
    path = job.folder / EXPLAINED
    if path.exists():
        written = list(load_explained(path, "model").values())
        counts |= {
            "explained": len(written),
            "cut_rationales": sum(not row.complete for row in written),
            "mean_tokens": round(fmean(row.tokens for row in written), 1),
        }
    return counts
