"""What every task promises: which labels, how to ask, how to write an answer, how to read one.

A prompt has three parts in a fixed order. `system` is the same for every example of a run; `post` is the example (its
pictures stand before it); `ask` says what is wanted now and comes last, the label hint of stage 2 included. So chain
and label share their prefix in training and inference, and all of a teacher's stages and retries share theirs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from mulcot.records import Example, ImageRef, Json, Record
from mulcot.registry import Registry
from mulcot.settings import Settings

READABLE = ("text", "aspect", "context", "choices", "caption")
"""The texts of an example."""


class Purpose(StrEnum):
    """What is asked of whom."""

    TEACH = "teach"
    """Teacher, stage 1: reason and predict without knowing the label."""
    HINT = "hint"
    """Teacher, stage 2: the label is given, the reasoning that leads there is asked for."""
    CHAIN = "chain"
    """Assistant and student: the whole chain."""
    LABEL = "label"
    """Assistant and student: the prediction alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt(Record):
    """One request in the order it is sent: system, pictures, post, ask."""

    system: str
    post: str
    ask: str

    @property
    def user(self) -> str:
        """The user's turn, after the pictures."""
        return f"{self.post}\n\n{self.ask}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Record):
    """What a parser found in a reply."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """The chain's fields that are present and not empty, in the task's order; for a repeated field, its last value."""
    missing: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    prediction: str | None = None
    """A label of the task, or None; then `problem` says why."""
    problem: str = ""
    """Empty, or a stable code: `empty`, `no_prediction`, `outside_label_set`, `several_predictions`."""

    @property
    def complete(self) -> bool:
        """Every field is there and the prediction is one label."""
        return not self.missing and self.prediction is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What `mulcot init` begins with: the task's own rows in small."""

    rows: Iterable[Json]
    """Rows as the dataset `files` reads them, of the splits train, dev and test; their pictures lie in the folder.

    Questions that Multimodal-CoT can begin with have a `solution`, written by a person.
    """
    options: Mapping[str, Any] = field(default_factory=dict)
    """The task's options, as the recipe writes them."""
    chains: Iterable[Json] = ()
    """Chains for the training rows as the teacher `imported` reads them, where the simulated one cannot write them."""


class Task(Settings):
    """The base class of all tasks."""

    positional_labels: ClassVar[bool] = False
    """Whether a label is the letter of one of the example's choices, instead of a class that examples share."""

    templates: str | None = None
    """A YAML file with your own prompt texts; see docs/tasks.md. Its content is hashed into the run."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Which texts of an example its prompts can show."""
        return READABLE

    @property
    def needs(self) -> tuple[str, ...]:
        """Which texts an example must have."""
        return ("text", "choices") if self.positional_labels else ("text",)

    @property
    @abstractmethod
    def fields(self) -> tuple[str, ...]:
        """The chain's field names in order; the last is `Prediction`."""

    @abstractmethod
    def labels(self, example: Example | None = None) -> tuple[str, ...]:
        """The label set; for multiple choice, the letters of this example's choices."""

    @abstractmethod
    def problem(self, example: Example) -> tuple[str, str] | None:
        """Why this example cannot be used for the task, as (reason code, detail), or None."""

    @abstractmethod
    def prompt(self, example: Example, purpose: Purpose, label: str | None = None) -> Prompt:
        """What to send. `label` is needed for `Purpose.HINT` and refused elsewhere."""

    @abstractmethod
    def write_chain(self, fields: Mapping[str, str]) -> str:
        """The training target of the chain; `read` reads it back."""

    @abstractmethod
    def write_label(self, label: str) -> str:
        """The training target of the label."""

    @abstractmethod
    def read(self, reply: str, example: Example | None = None) -> Reading:
        """Reads any reply, however malformed; never raises; linear in its length."""

    @abstractmethod
    def read_published(self, reply: str, example: Example | None = None) -> str | None:
        """The label by the published code's own extraction rule, for comparable numbers."""

    def prompt_texts(self) -> Mapping[str, str]:
        """Every prompt text in use, by its key in a templates file; a trained model keeps them beside its weights."""
        return {}

    def sample(self) -> Example:
        """An example that stands for any: what is needed, in words that say what stands there."""
        return Example(
            id="",
            split="",
            text="TEXT OF THE POST",
            images=(ImageRef(path="picture"),),
            aspect="the thing" if "aspect" in self.needs else None,
            choices=("first choice", "second choice") if "choices" in self.needs else (),
        )

    @classmethod
    def demo(cls, folder: Path) -> Demo | None:
        """Rows for `mulcot init`, with their pictures written into `folder`; None where there are none."""
        return None


tasks: Registry[Task] = Registry("task", "mulcot.tasks", Task)  # type: ignore[type-abstract]
