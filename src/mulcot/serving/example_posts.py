"""Posts that the page offers to try: drawn ones for a model of the synthetic world, or those of a file."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from mulcot.errors import MulcotError
from mulcot.media import encode_jpeg, open_image
from mulcot.predict.base import Predictor
from mulcot.records import Json
from mulcot.tasks.base import READABLE, Task
from mulcot.world.boards import paint_board
from mulcot.world.picture import paint, png
from mulcot.world.posts import make_post
from mulcot.world.science import make_question

COUNT = 4
SIZE = 252
LARGEST = (512, 512)
KEYS = READABLE


def samples(predictor: Predictor) -> list[Json]:
    """A few posts with their pictures as data URLs."""
    if not predictor.synthetic:
        return []
    drawn = (_drawn(predictor.task, number) for number in range(COUNT))
    return [one for one in drawn if all(one.get(name) for name in predictor.task.needs)]


def _drawn(task: Task, number: int) -> Json:
    if task.positional_labels:
        question = make_question(0, "test", number).question
        picture = png(paint_board(question.board, SIZE)) if question.board else None
        found: Json = {"text": question.text, "context": question.context, "choices": list(question.choices)}
    else:
        post = make_post(0, "test", number, aspects="aspect" in task.needs)
        picture, found = png(paint(post.scene, SIZE)), {"text": post.text, "aspect": post.aspect}
    return {**_known(found), **({"image": _url(picture, "png")} if picture else {})}


def read_samples(path: Path) -> list[Json]:
    """JSON lines with the keys of a request; `image` is a path beside the file."""
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            assert isinstance(row, dict)
            assert isinstance(row["text"], str)
        except (ValueError, KeyError, AssertionError):
            raise MulcotError(f"{path}:{number} is no post", hint='Write {"text": "...", "image": "file"}.') from None
        sample = _known(row)
        if row.get("image"):
            sample["image"] = _url(encode_jpeg(open_image(path.parent / str(row["image"])), LARGEST), "jpeg")
        found.append(sample)
    return found


def _known(values: Json) -> Json:
    return {key: values[key] for key in KEYS if values.get(key)}


def _url(picture: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
