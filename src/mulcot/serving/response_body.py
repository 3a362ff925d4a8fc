"""How answers look outside, always with all their keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from mulcot.records import Json, Prediction

EXAMPLE: Json = {
    "model": "demo",
    "id": "5f0c6b7a1d2e3f40",
    "label": "negative",
    "probabilities": {"positive": 0.08, "neutral": 0.1, "negative": 0.82},
    "fields": {
        "Text_analysis": "The words praise the day.",
        "Image_analysis": "Rain falls on a broken tent.",
        "Conflict_resolution": "The picture shows that the praise is meant as irony.",
        "Final_conclusion": "The post complains about the weather.",
        "Prediction": "negative",
    },
    "chain": '"Text_analysis": "The words praise the day."\n...',
    "chain_label": "negative",
    "chain_problem": "",
    "cut": False,
    "shortened": False,
    "agrees": True,
    "problem": "",
    "timings": {"queue_ms": 0.4, "model_ms": 180.2, "total_ms": 180.6},
}


class Answer(BaseModel):
    """What the model says about one post."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"example": EXAMPLE})

    model: str
    id: str
    label: str | None
    """The likeliest label; null only where `problem` says why."""
    probabilities: dict[str, float]
    """Of every label."""
    fields: dict[str, str]
    """The chain, field by field; empty with `label_only`."""
    chain: str | None
    """The chain as the model wrote it."""
    chain_label: str | None
    """The label that the chain ends with."""
    chain_problem: str
    """Why the chain ends with none."""
    cut: bool
    """The chain did not end by itself."""
    shortened: bool
    """What was read was longer than the model reads; the end of rationale or context was left out."""
    agrees: bool | None
    """Whether label and chain say the same."""
    problem: str
    timings: dict[str, float]
    """Milliseconds in the queue, with the model, and from admission to the answer."""


class Answers(BaseModel):
    """One entry per item, in their order: an answer, or `{"rejected": {"reason", "detail"}}`."""

    items: list[Answer | dict[str, Any]]


def answer_of(prediction: Prediction, model: str, timings: Mapping[str, float] | None = None) -> Json:
    """A prediction as it is sent; without `timings` where it is not whole yet."""
    found = {
        "model": model,
        "id": prediction.id,
        "label": prediction.label,
        "probabilities": dict(prediction.probabilities),
        "fields": dict(prediction.fields),
        "chain": prediction.chain,
        "chain_label": prediction.chain_label,
        "chain_problem": prediction.chain_problem,
        "cut": prediction.cut,
        "shortened": prediction.shortened,
        "agrees": prediction.agrees,
        "problem": prediction.problem,
    }
    return found if timings is None else {**found, "timings": dict(timings)}


def dumps(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def json_response(value: Any) -> Response:
    """A reply of compact JSON."""
    return Response(dumps(value), media_type="application/json")


def event(name: str, value: Any) -> bytes:
    """One server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumps(value))
