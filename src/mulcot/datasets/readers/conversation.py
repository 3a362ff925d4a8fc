"""ShareGPT records, as LLaVA and LLaMA-Factory write them, made flat.

    {"conversations": [{"from": "human", "value": "<image>what a day"}, {"from": "gpt", "value": "positive"}],
     "image": "p1.jpg"}
    {"messages": [{"role": "user", "content": "<image>what a day"}, {"role": "assistant", "content": "positive"}],
     "images": ["p1.jpg"]}

One question and one answer make a row. A system turn says nothing about the post and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mulcot.datasets.cell_values import BadRow, shown

TURNS = ("messages", "conversations")
TAG = "<image>"
SPEAKERS = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
}  # fmt: skip


def is_conversation(values: Mapping[str, Any]) -> bool:
    """Whether the record is made of turns."""
    return any(isinstance(values.get(key), list) for key in TURNS)


def question_and_answer(values: Mapping[str, Any]) -> tuple[str, str | None]:
    """What the user asks, without the picture tags, and what the assistant replies."""
    key = next(key for key in TURNS if isinstance(values.get(key), list))
    said = [turn for turn in map(_turn, values[key]) if turn[0] != "system"]
    if [speaker for speaker, _ in said] not in (["user"], ["user", "assistant"]):
        detail = f"{len(said)} turns, allowed: one by the user and then at most one by the assistant"
        raise BadRow("several_turns", detail)
    question = said[0][1]
    pictures = values.get("images", values.get("image"))
    count = len(pictures) if isinstance(pictures, list) else int(pictures not in (None, ""))
    if question.count(TAG) != count:
        raise BadRow("image_count", f"{question.count(TAG)} times {TAG} in the question, but {count} pictures")
    return question.replace(TAG, " ").strip(), said[1][1].strip() if len(said) == 2 else None


def _turn(turn: Any) -> tuple[str, str]:
    if not isinstance(turn, Mapping):
        raise BadRow("bad_value", f"a turn is {shown(turn)}, an object is needed")
    speaker = SPEAKERS.get(str(turn.get("role", turn.get("from"))))
    content = turn.get("content", turn.get("value"))
    if speaker is None or not isinstance(content, str):
        raise BadRow("bad_value", "a turn needs a known speaker (user, assistant, system) and a text")
    return speaker, content
