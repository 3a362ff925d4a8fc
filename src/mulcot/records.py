"""What crosses every boundary: frozen records, and how they are written as JSON lines.

An `Example` is what came from a dataset; a `Rejected` is a row that could not become one, kept with its reason.
Optional fields that are empty are left out of the JSON, so files stay small and later versions can add fields.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

SPLITS = ("train", "dev", "test")

Json = dict[str, Any]
R = TypeVar("R", bound="Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A frozen value that can be written as one JSON object and read back equal."""

    def to_json(self) -> Json:
        """A plain dictionary without the optional fields that are empty."""
        out: Json = {}
        for name, info in self.__dataclass_fields__.items():
            value = getattr(self, name)
            required = info.default is MISSING and info.default_factory is MISSING
            if required or (value if info.default is MISSING else value != info.default):
                out[name] = _plain(value)
        return out

    def to_line(self) -> str:
        """One line of JSONL, newline included."""
        return json.dumps(self.to_json(), ensure_ascii=False, separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls: type[R], data: Mapping[str, Any]) -> R:
        """The record that wrote `data`; fields of later versions are ignored."""
        known = cls.__dataclass_fields__
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef(Record):
    """One picture of an example: where it lies and what it was when it was checked.

    `path` is relative to the dataset's picture folder, or, where `stored`, to the folder the pictures were written to
    (drawn ones and those unpacked from Parquet). Paths stay relative so that data can move between machines.
    """

    path: str
    stored: bool = False
    sha256: str = ""
    width: int = 0
    height: int = 0
    of: str = ""
    """Empty for the example's own picture; the choice's letter where it belongs to a choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example(Record):
    """One labelled post or question."""

    id: str
    split: str
    text: str
    """The post; for multiple choice, the question."""
    images: tuple[ImageRef, ...] = ()
    aspect: str | None = None
    context: str | None = None
    """The hint of a question."""
    choices: tuple[str, ...] = ()
    caption: str | None = None
    label: str | None = None
    """A label of the task; for multiple choice, the letter of the right choice."""
    rationale: str | None = None
    """An explanation written by a person, where the dataset has one."""
    original: str | None = None
    """The text before cleaning, where cleaning changed it."""
    truth: Json | None = None
    """The latent truth of a synthetic example."""
    meta: Json = field(default_factory=dict)
    """The source's own columns that a report groups by: subject, grade, source id ..."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Example:
        """The example that wrote `data`."""
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        known["images"] = tuple(ImageRef.from_json(image) for image in data.get("images", ()))
        known["choices"] = tuple(data.get("choices", ()))
        return cls(**known)

    @property
    def picture(self) -> ImageRef | None:
        """The example's own first picture."""
        return next((image for image in self.images if not image.of), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Record):
    """A row that could not become an example."""

    source: str
    """File and place, such as `train.tsv:17`."""
    reason: str
    """A short stable code, counted in the statistics."""
    detail: str
    """What was found and what was allowed."""
    id: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rationale(Record):
    """One accepted chain of one example."""

    example_id: str
    source: str
    """Who wrote it: `teacher`, `imported`, `assistant`."""
    stage: int
    """1: found without knowing the label. 2: the label was given. 0: unknown, for chains collected elsewhere."""
    fields: Mapping[str, str]
    """The chain in the task's order; `Prediction` is spelled as the label. Free of control tokens."""
    prediction: str | None = None
    """The label it ends with; differs from the example's own, or is absent, only where chains were kept unchecked."""
    attempts: int = 1
    """Replies that this example took, over both stages."""
    model: str = ""
    """The model as its server names it."""
    simulated: bool = False
    """Written by a simulated teacher."""
    usage: Json = field(default_factory=dict)
    """Tokens of all its replies, `prompt` and `completion`; null where the server did not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction(Record):
    """What a model says about one example."""

    id: str
    """The example's."""
    label: str | None = None
    """The likeliest label; absent where none was asked for or `problem` says why there is none."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Of every label, with the model's fitted temperature where it has one; empty where the label was generated."""
    logprobs: Mapping[str, float] = field(default_factory=dict)
    """Of every label written out in full, untempered."""
    chain: str | None = None
    """The chain as the model wrote it."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What the task reads in the chain."""
    chain_label: str | None = None
    """The label that the chain ends with."""
    chain_problem: str = ""
    """Why the chain ends with none: `empty`, `no_prediction`, `outside_label_set`, `several_predictions`."""
    cut: bool = False
    """The chain did not end by itself."""
    shortened: bool = False
    """What was read was longer than the model reads: the end of the rationale was cut, then that of the hint."""
    agrees: bool | None = None
    """Whether label and chain agree; absent where one of them is."""
    reply: str | None = None
    """The label as the model wrote it, where it was generated."""
    published_label: str | None = None
    """The label of `reply` by the published code's own rule."""
    problem: str = ""
    """`not_finite` where the model's scores are no numbers, or why a generated reply names no label."""


def content_id(*parts: str | None) -> str:
    """A stable id made of content alone: the same row gets the same id in any file, order or machine."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        encoded = b"\x00" if part is None else part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def read_lines(path: Path, kind: type[R]) -> Iterator[R]:
    """The records of a JSONL file that we wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield kind.from_json(json.loads(line))


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value
