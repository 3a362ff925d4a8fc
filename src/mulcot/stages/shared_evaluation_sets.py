"""Which examples are evaluated: splits of the dataset, and test splits of other datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, SerializeAsAny, field_validator

from mulcot.datasets.base import Dataset, datasets
from mulcot.datasets.read_rows import read
from mulcot.errors import DataError, NothingUsable
from mulcot.media import Gallery, Store
from mulcot.plugin import Plugin
from mulcot.records import SPLITS, Example, Rejected
from mulcot.rundir import write_text
from mulcot.stages.base import Job, Stage
from mulcot.stages.shared_training import examples_of, part_of
from mulcot.tasks.base import Task

if TYPE_CHECKING:
    from mulcot.evaluation.ask_model import EvaluationSet
    from mulcot.evaluation.scores import SetScores


EXAMPLES, REJECTED = "examples.jsonl", "rejected.jsonl"
SEE = "See `mulcot data stats`."


class SetsStage(Stage):
    """The part of an evaluation that chooses examples.

    sets/<name>/   of other datasets: their examples, the rejected rows, and pictures that came without files
    """

    bulky: ClassVar[tuple[str, ...]] = ("sets",)

    splits: tuple[str, ...] = Field(default=("test", "hard"), min_length=1)
    """Which splits of the dataset; those without a labelled example are passed over, as long as one remains."""
    others: dict[str, SerializeAsAny[Annotated[Dataset, Plugin(datasets)]]] = Field(default_factory=dict)
    """Test splits of other datasets, each under a name: how well the models do outside their own domain."""
    limit: int | None = Field(default=None, ge=1)
    """At most this many examples per set, chosen by the seed; null takes all."""

    @field_validator("others")
    @classmethod
    def _check_names(cls, value: dict[str, Dataset]) -> dict[str, Dataset]:
        for name in value:
            if not name.isidentifier() or name in (*SPLITS, "hard"):
                raise ValueError(f"{name!r} cannot name a set: letters, digits and underscores, and no split's name")
        return value

    def sources(self) -> tuple[Path, ...]:
        """The files of the other datasets."""
        return tuple(path for dataset in self.others.values() for path in dataset.sources())

    def extras(self) -> tuple[str, ...]:
        """The models run here."""
        return ("train",)

    def problems(self, task: Task, dataset: Dataset) -> list[str]:
        """Files of other datasets that are not there."""
        found = []
        for name, other in self.others.items():
            try:
                found += [f"others.{name}: {path} does not exist" for path in other.sources() if not path.exists()]
            except DataError as error:
                found.append(f"others.{name}: {error}")
        return found

    def sets(self, job: Job) -> Iterator[EvaluationSet]:
        """The chosen splits, then the other datasets."""
        from mulcot.evaluation.ask_model import EvaluationSet

        names = [name for name in dict.fromkeys(self.splits) if examples_of(job, name)]
        if not names:
            problem = f"there is no labelled example in {', '.join(self.splits)}"
            raise NothingUsable(problem, hint="See evaluate.splits.")
        for name in names:
            yield EvaluationSet(name, tuple(part_of(examples_of(job, name), self.limit, job.seed)), job.gallery())
        for name, dataset in self.others.items():
            store = Store(job.folder / "sets" / name)
            rows = list(read(dataset, job.task, store))
            rejected = [row for row in rows if isinstance(row, Rejected)]
            found = [row for row in rows if isinstance(row, Example) and row.split == "test" and row.label is not None]
            examples = part_of(found, self.limit, job.seed)
            if not examples:
                hint = f"{len(rejected):,} rows were rejected. See `mulcot data stats`." if rejected else SEE
                raise NothingUsable(f"evaluate.others.{name} has no labelled test example", hint=hint)
            where = job.folder / "sets" / name
            write_text(where / EXAMPLES, "".join(example.to_line() for example in examples))
            write_text(where / REJECTED, "".join(row.to_line() for row in rejected))
            yield EvaluationSet(
                name,
                tuple(examples),
                Gallery(dataset.picture_root(), store, dataset.images_limit),
                dataset,
                dict(sorted(Counter(row.reason for row in rejected).items())),
            )

    def judge_answers(self, job: Job, sets: Mapping[str, SetScores], final: str) -> None:
        """Whoever answered nothing has no score; where it is the final model, there is no result."""
        for name, one in sets.items():
            for model, scores in one.models.items():
                if scores.answered:
                    continue
                reasons = ", ".join(f"{reason} {count:,}" for reason, count in scores.rejected.items())
                text = f"{model} answered none of {one.examples:,} examples of {name}: {reasons}"
                if model == final:
                    hint = f"Mend what the reasons name, then delete {job.folder / 'predictions'} to ask again."
                    raise NothingUsable(text, hint=hint)
                job.warn(text)
