"""The mood that a whole post conveys: positive, neutral or negative (MVSA and the like)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from mulcot.tasks.base import Demo, tasks
from mulcot.tasks.label_task import ANSWER_RULES, LabelTask
from mulcot.tasks.templates import Templates
from mulcot.world import demo_rows


@tasks.register("sentiment")
class Sentiment(LabelTask):
    """Post-level sentiment."""

    built_in: ClassVar[Templates] = Templates(
        teacher_system=f"""\
You read social media posts made of words and a picture, and explain step by step which mood their author conveys.

Labels:
{{definitions}}

Judge what the author conveys, not how you feel about the subject. Look for irony: cheerful words beside a bleak \
picture often mean the opposite.

{ANSWER_RULES}""",
        post="Post: {text}\nCaption: {caption}\n{picture}",
        teach_ask="Analyse this post now, line by line.",
        hint_ask="""\
Reach the label below from what the post itself says and shows. Write as if you had found it on your own, and never \
mention that it was known.
Label: {label}""",
        student_system="Judge the mood that a post's words and picture convey: {labels}.",
        chain_ask="Write {fields}, one quoted line each.",
        label_ask='Write "Prediction" alone.',
    )

    def meanings(self) -> Mapping[str, str]:
        """The three moods."""
        return {
            "positive": "the post conveys a good feeling, such as joy, praise, hope, gratitude or fun",
            "neutral": "the post informs or asks without showing a feeling, or good and bad balance each other",
            "negative": "the post conveys a bad feeling, such as anger, sadness, fear, scorn or disappointment",
        }

    @classmethod
    def demo(cls, folder: Path) -> Demo:
        """Drawn posts with their mood."""
        return Demo(rows=demo_rows.posts(folder, lambda truth: truth.label))
