"""From scores and replies to a `Prediction`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from mulcot.backbones.vlm.generation import Chain
from mulcot.records import Example, Prediction
from mulcot.tasks.base import Task


def scored_label(task: Task, example: Example, logprobs: Sequence[float], temperature: float) -> Prediction:
    """The likeliest label, and how likely each is: always one of the label set, whatever the model would write."""
    shares = softmax(logprobs, temperature)
    if shares is None:
        return Prediction(id=example.id, problem="not_finite")
    labels = task.labels(example)
    best = max(range(len(labels)), key=lambda index: logprobs[index])
    return Prediction(
        id=example.id,
        label=labels[best],
        probabilities=dict(zip(labels, shares, strict=True)),
        logprobs=dict(zip(labels, logprobs, strict=True)),
    )


def generated_label(task: Task, example: Example, reply: Chain) -> Prediction:
    """The label that a reply names, by our rule and by the published one; it may name none."""
    reading = task.read(reply.text, example)
    return Prediction(
        id=example.id,
        label=reading.prediction,
        reply=reply.text,
        published_label=task.read_published(reply.text, example),
        problem=reading.problem,
    )


def with_chain(prediction: Prediction, task: Task, example: Example, chain: Chain) -> Prediction:
    """The prediction with its chain, and whether both say the same."""
    reading = task.read(chain.text, example)
    known = prediction.label is not None and reading.prediction is not None
    return dataclasses.replace(
        prediction,
        chain=chain.text,
        fields=reading.fields,
        chain_label=reading.prediction,
        chain_problem=reading.problem,
        cut=not chain.complete,
        agrees=prediction.label == reading.prediction if known else None,
    )


def softmax(logprobs: Sequence[float], temperature: float) -> tuple[float, ...] | None:
    """The distribution over the label set; None where a score is no number."""
    if not all(math.isfinite(value) for value in logprobs):
        return None
    top = max(logprobs)
    weights = [math.exp((value - top) / temperature) for value in logprobs]
    return tuple(weight / sum(weights) for weight in weights)
