"""What all our tasks share: prompts from templates, and chains of named fields with the prediction last."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import field_validator, model_validator

from mulcot.errors import RecipeError
from mulcot.records import Example
from mulcot.settings import fingerprint
from mulcot.tasks.base import READABLE, Prompt, Purpose, Reading, Task
from mulcot.tasks.chain_text import answer_part, first_paragraph, plain, read_fields, write_fields
from mulcot.tasks.inserted_text import insertable
from mulcot.tasks.label_reading import LabelReading
from mulcot.tasks.templates import Placeholders, Templates, fill, load_templates

PREDICTION = "Prediction"


class ChainTask(Task):
    """A task whose answer is a chain of named fields."""

    guide: ClassVar[Mapping[str, str]]
    """Each field of the chain in order, and what the teacher is asked to write there."""
    built_in: ClassVar[Templates]
    placeholders: ClassVar[Placeholders]

    @abstractmethod
    def constants(self) -> dict[str, str]:
        """Placeholders whose values are the same for every example; `format` and `fields` come on top."""

    @abstractmethod
    def values(self, example: Example) -> dict[str, str]:
        """Placeholders filled from the example, safe to insert; `caption` and `picture` come on top."""

    @abstractmethod
    def shown_label(self, label: str, example: Example) -> str:
        """A label as the hint of stage 2 names it."""

    @abstractmethod
    def answer(self, value: str, example: Example | None) -> LabelReading:
        """The label that the value of `Prediction` names."""

    @abstractmethod
    def answer_alone(self, reply: str, example: Example | None) -> str | None:
        """The label of a reply that is nothing but a label."""

    @field_validator("templates")
    @classmethod
    def _check_templates(cls, value: str | None) -> str | None:
        """Found here, problems of the file are reported together with those of the recipe."""
        if value is not None:
            try:
                load_templates(Path(value), cls.built_in, cls.placeholders)
            except RecipeError as error:
                raise ValueError("; ".join(error.problems)) from error
        return value

    @model_validator(mode="after")
    def _keep_templates(self) -> Self:
        """Reads the texts now, so that a file edited while a run lasts changes nothing."""
        _ = self.texts
        return self

    @property
    def reads(self) -> tuple[str, ...]:
        """What its templates may show."""
        return tuple(name for name in READABLE if name in self.placeholders.example)

    @property
    def needs(self) -> tuple[str, ...]:
        """What its templates have to show."""
        return tuple(name for name in READABLE if name in self.placeholders.needed)

    @property
    def fields(self) -> tuple[str, ...]:
        """The chain's field names in order."""
        return tuple(self.guide)

    @cached_property
    def texts(self) -> Templates:
        """The prompt texts in use: built in, or with the user's own in their place."""
        if self.templates is None:
            return self.built_in
        return load_templates(Path(self.templates), self.built_in, self.placeholders)

    def prompt_texts(self) -> Mapping[str, str]:
        """All of them: a later version may word its own differently."""
        return dataclasses.asdict(self.texts)

    def identity(self) -> dict[str, Any]:
        """The settings with what the prompts say, instead of where the templates lie."""
        texts = dataclasses.asdict(self.texts)
        return {**super().identity(), "templates": fingerprint([texts, self._constants])}

    def prompt(self, example: Example, purpose: Purpose, label: str | None = None) -> Prompt:
        """What to send. `label` is needed for `Purpose.HINT` and refused elsewhere."""
        if (label is not None) != (purpose is Purpose.HINT):
            raise ValueError(f"a label is {'needed' if label is None else 'refused'} for {purpose}")
        if label is not None and label not in self.labels(example):
            raise ValueError(f"{label!r} is no label of example {example.id!r}: {', '.join(self.labels(example))}")
        teacher = purpose in (Purpose.TEACH, Purpose.HINT)
        ask = self._parts["teach_ask" if teacher else f"{purpose}_ask"]
        if label is not None:
            values = {**self._constants, "label": self.shown_label(label, example)}
            ask = f"{ask}\n\n{fill(self.texts.hint_ask, values)}"
        return Prompt(
            system=self._parts["teacher_system" if teacher else "student_system"],
            post=fill(self.texts.post, {**self._constants, **self._example_values(example)}),
            ask=ask,
        )

    def write_chain(self, fields: Mapping[str, str]) -> str:
        """The training target of the chain: one quoted line per field that is not empty, in the task's order."""
        return write_fields(fields, self.fields)

    def write_label(self, label: str) -> str:
        """The training target of the label."""
        return f'"{PREDICTION}": {label}'

    def read(self, reply: str, example: Example | None = None) -> Reading:
        """Reads any reply, however malformed; never raises; linear in its length."""
        text = answer_part(reply)
        if not text.strip():
            return Reading(missing=self.fields, problem="empty")
        values: dict[str, list[str]] = {}
        for name, value in read_fields(text, self.fields):
            values.setdefault(name, []).append(value)
        found = {name: values[name][-1] for name in self.fields if name in values}
        if PREDICTION in found:
            found[PREDICTION] = first_paragraph(found[PREDICTION]) or found[PREDICTION]
        answer = self._answer(values.get(PREDICTION, []), text, example)
        return Reading(
            fields=found,
            missing=tuple(name for name in self.fields if name not in found),
            repeated=tuple(name for name in self.fields if len(values.get(name, ())) > 1),
            prediction=answer.label,
            problem=answer.problem,
        )

    def _answer(self, predictions: list[str], text: str, example: Example | None) -> LabelReading:
        """One answer out of all predictions; different ones cancel each other."""
        if not predictions:
            label = self.answer_alone(plain(text), example)
            return LabelReading(label, "" if label is not None else "no_prediction")
        answers = []
        for value in predictions:
            short = self.answer(first_paragraph(value), example)
            answers.append(self.answer(value, example) if short.problem == "outside_label_set" else short)
        if len({answer.label for answer in answers}) > 1:
            return LabelReading(None, "several_predictions")
        return answers[-1]

    @cached_property
    def _constants(self) -> dict[str, str]:
        names = [f'"{name}"' for name in self.fields]
        return {
            **self.constants(),
            "format": "\n".join(f'"{name}": "{text}"' for name, text in self._guide().items()),
            "fields": f"{', '.join(names[:-1])} and {names[-1]}",
        }

    def _guide(self) -> dict[str, str]:
        return {name: fill(text, self.constants()) for name, text in self.guide.items()}

    @cached_property
    def _parts(self) -> dict[str, str]:
        """The filled texts that are the same for every example."""
        parts = dataclasses.asdict(self.texts)
        return {name: fill(text, self._constants) for name, text in parts.items() if name not in ("post", "hint_ask")}

    def _example_values(self, example: Example) -> dict[str, str]:
        caption = insertable(example.caption or "", self.fields)
        return {"caption": caption, "picture": _picture_note(example), **self.values(example)}


def either(names: tuple[str, ...]) -> str:
    """`positive, neutral or negative`."""
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else "".join(names)


def _picture_note(example: Example) -> str:
    """What has to be said about the pictures: that there is none, or whose they are where there are several."""
    if not example.images:
        return "There is no picture."
    if all(not image.of for image in example.images):
        return f"There are {len(example.images)} pictures." if len(example.images) > 1 else ""
    owners = [f"choice {image.of}" if image.of else "the question" for image in example.images]
    return f"Pictures in order: {', '.join(owners)}."
