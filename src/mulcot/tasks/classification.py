"""Any labels of your own, each with a sentence that says what it stands for.

task:
  name: classification
  labels:
    sarcastic: says the opposite of what is meant
    sincere: means what it says
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from mulcot.tasks.base import Demo, tasks
from mulcot.tasks.inserted_text import insertable
from mulcot.tasks.label_reading import label_key
from mulcot.tasks.label_task import ANSWER_RULES, LabelTask
from mulcot.tasks.templates import Templates
from mulcot.world import demo_rows

MAX_LABEL = 60


@tasks.register("classification")
class Classification(LabelTask):
    """Labels and their definitions, given in the recipe."""

    definitions: dict[str, str] = Field(alias="labels", min_length=2)
    """Each label and what it stands for, in one sentence."""

    built_in: ClassVar[Templates] = Templates(
        teacher_system=f"""\
You read posts made of words and a picture, and explain step by step which label fits them.

Labels:
{{definitions}}

Choose by these definitions, even where you would draw the line elsewhere.

{ANSWER_RULES}""",
        post="Post: {text}\nCaption: {caption}\n{picture}",
        teach_ask="Analyse this post now, line by line.",
        hint_ask="""\
Reach the label below from what the post itself says and shows. Write as if you had found it on your own, and never \
mention that it was known.
Label: {label}""",
        student_system="Choose the label that fits a post's words and picture: {labels}.",
        chain_ask="Write {fields}, one quoted line each.",
        label_ask='Write "Prediction" alone.',
    )

    @field_validator("definitions")
    @classmethod
    def _check_labels(cls, value: dict[str, str]) -> dict[str, str]:
        """A label has to survive the prompt and be told from the others in a reply."""
        problems: list[str] = []
        seen: dict[str, str] = {}
        for label in value:
            key = label_key(label)
            if not any(character.isalnum() for character in key):
                problems.append(f"{label!r} has no letter or digit")
            elif len(label) > MAX_LABEL:
                problems.append(f"{label[:20]!r}... is longer than {MAX_LABEL} characters")
            elif insertable(label, tuple(cls.guide)) != label or '"' in label or "\\" in label:
                problems.append(f"{label!r} has quotes, line breaks, outer spaces or what could be a control token")
            elif key in seen:
                problems.append(f"{label!r} and {seen[key]!r} differ only in case or punctuation")
            seen.setdefault(key, label)
        if problems:
            raise ValueError("; ".join(problems))
        return {label: insertable(meaning, tuple(cls.guide)) for label, meaning in value.items()}

    def meanings(self) -> Mapping[str, str]:
        """The labels of the recipe."""
        return self.definitions

    @classmethod
    def demo(cls, folder: Path) -> Demo:
        """Drawn posts with how words and picture relate, and chains, since the simulated teacher knows moods alone."""
        return Demo(
            rows=demo_rows.posts(folder, lambda truth: truth.relation),
            options={"labels": demo_rows.RELATIONS},
            chains=demo_rows.relation_chains(),
        )
