"""What every stage promises: which stages it reads, and one method that does the work."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from mulcot.datasets.base import Dataset
from mulcot.errors import printable
from mulcot.media import Gallery, Store
from mulcot.progress import Reporter
from mulcot.records import Json
from mulcot.registry import Registry
from mulcot.rundir import StageFolder
from mulcot.settings import Settings
from mulcot.tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything a stage gets to work with."""

    folder: StageFolder
    """Where this stage writes."""
    before: Mapping[str, StageFolder]
    """The finished stages it reads, by name."""
    task: Task
    dataset: Dataset
    seed: int
    reporter: Reporter
    warnings: list[str] = field(default_factory=list)
    """What `warn` was told; kept in `stage.json`."""

    def warn(self, text: str) -> None:
        """Something came out so weak that a person should know: now, at the end of the run, and in the report."""
        line = printable(text)
        self.warnings.append(line)
        self.reporter.say(f"warning: {self.folder.name}: {line}")

    def gallery(self) -> Gallery:
        """The pictures of the examples that the dataset stage wrote."""
        store = Store(self.before["dataset"] / "pictures")
        return Gallery(self.dataset.picture_root(), store, self.dataset.images_limit)


class Need(NamedTuple):
    """A stage that another one cannot do without."""

    stage: str
    option: str = ""
    """The option, of the stage that needs it, that makes it so."""
    text: str = ""
    """Why, and what to write instead; for stages that a method does without."""


class Stage(Settings):
    """The base class of all stages; a stage's settings are its recipe section."""

    about: ClassVar[str] = ""
    """What the recipe's section says, in a sentence."""
    always: ClassVar[bool] = False
    """Whether it runs, with its defaults, where the recipe has no section for it."""
    keeps: ClassVar[tuple[str, ...]] = ()
    """File patterns that survive a change of settings, such as a ledger of paid replies."""
    bulky: ClassVar[tuple[str, ...]] = ()
    """Folders whose files are accounted for elsewhere and not listed one by one in `stage.json`."""

    scratch: ClassVar[tuple[str, ...]] = ()
    """Folders, as patterns, that only an unfinished stage needs; a finished one has them no more."""

    parallel: ClassVar[bool] = False
    """Whether all processes of a run take part; the first one alone does other stages."""

    def needs(self) -> tuple[Need, ...]:
        """The stages whose files it reads under these settings, and cannot do without."""
        return ()

    def wants(self, earlier: Sequence[str]) -> Iterable[str]:
        """Of the earlier stages that the recipe describes, those whose files it reads as well."""
        return ()

    def unmet(self, others: Mapping[str, Stage]) -> Iterator[Need]:
        """What it needs and does not find beside it, in the recipe's other sections."""
        return (need for need in self.needs() if need.stage not in others)

    def unread(self, others: Mapping[str, Stage]) -> Iterator[str]:
        """What the recipe's other sections write that is read under other settings alone."""
        return iter(())

    @abstractmethod
    def run(self, job: Job) -> Json:
        """Does the work, continuing what an interrupted run left, and returns the counts worth reporting. What is
        weak is told with `job.warn`; what is no use to a later stage is raised as `NothingUsable`.
        """

    def sources(self) -> tuple[Path, ...]:
        """Files outside the run whose content decides the result."""
        return ()

    def extras(self) -> tuple[str, ...]:
        """The extras of the package that `run` needs."""
        return ()

    def problems(self, task: Task, dataset: Dataset) -> list[str]:
        """What can be found wrong without spending money or GPU time; used by `mulcot check`."""
        return []


stages: Registry[Stage] = Registry("stage", "mulcot.stages", Stage)  # type: ignore[type-abstract]
