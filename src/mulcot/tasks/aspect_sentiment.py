"""The attitude that a post conveys towards one thing it mentions (Twitter-2015, Twitter-2017)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from mulcot.records import Example
from mulcot.tasks.base import Demo, tasks
from mulcot.tasks.inserted_text import insertable
from mulcot.tasks.label_task import ANSWER_RULES, CONSTANT, LabelTask
from mulcot.tasks.templates import Placeholders, Templates
from mulcot.world import demo_rows


@tasks.register("aspect_sentiment")
class AspectSentiment(LabelTask):
    """Sentiment towards the aspect of an example."""

    placeholders: ClassVar[Placeholders] = Placeholders(
        constant=CONSTANT, example=("text", "aspect", "caption", "picture"), needed=("text", "aspect")
    )
    built_in: ClassVar[Templates] = Templates(
        teacher_system=f"""\
You read social media posts made of words and a picture, and explain step by step which attitude they convey towards \
one thing they mention, the aspect.

Labels:
{{definitions}}

Judge the attitude towards the aspect alone: feelings about other things in the post do not count, and one post may \
praise one aspect and blame another. Where the aspect is only named, shown or reported on, with no sign of an attitude \
towards it, the label is neutral, however lively the rest of the post or the picture may be.

{ANSWER_RULES}""",
        post="Post: {text}\nAspect: {aspect}\nCaption: {caption}\n{picture}",
        teach_ask="Analyse what this post conveys towards its aspect now, line by line.",
        hint_ask="""\
Reach the label below from what the post itself says and shows about the aspect. Write as if you had found it on your \
own, and never mention that it was known.
Label: {label}""",
        student_system="Judge the mood that a post's words and picture convey towards the aspect: {labels}.",
        chain_ask="Write {fields}, one quoted line each.",
        label_ask='Write "Prediction" alone.',
    )

    def meanings(self) -> Mapping[str, str]:
        """The three attitudes."""
        return {
            "positive": "the post is in favour of the aspect, such as praise, joy, support, hope or affection",
            "neutral": "the post takes no side on the aspect, or for and against balance each other",
            "negative": "the post is against the aspect, such as blame, mockery, fear, sorrow or disappointment",
        }

    def problem(self, example: Example) -> tuple[str, str] | None:
        """Like the post-level task, and the aspect has to be there."""
        if not (example.aspect or "").strip():
            return "no_aspect", "the example names no aspect"
        return super().problem(example)

    def values(self, example: Example) -> dict[str, str]:
        """The post's text and its aspect."""
        return {**super().values(example), "aspect": insertable(example.aspect or "", self.fields)}

    @classmethod
    def demo(cls, folder: Path) -> Demo:
        """Drawn posts about two things, asked about one of them."""
        return Demo(rows=demo_rows.posts(folder, lambda truth: truth.label, aspects=True))
