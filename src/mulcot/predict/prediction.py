"""From scores and readings to a `Prediction`, whatever wrote or scored."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from mulcot.records import Prediction
from mulcot.tasks.base import Reading


def label_prediction(
    example_id: str, labels: Sequence[str], logprobs: Sequence[float], temperature: float, *, shortened: bool = False
) -> Prediction:
    """The likeliest label, and how likely each is: always one of the label set, whatever the model would write."""
    shares = softmax(logprobs, temperature)
    if shares is None:
        return Prediction(id=example_id, problem="not_finite")
    best = max(range(len(labels)), key=lambda index: logprobs[index])
    return Prediction(
        id=example_id,
        label=labels[best],
        probabilities=dict(zip(labels, shares, strict=True)),
        logprobs=dict(zip(labels, logprobs, strict=True)),
        shortened=shortened,
    )


def written_label(
    example_id: str, reply: str, reading: Reading, published: str | None, *, shortened: bool = False
) -> Prediction:
    """The label that a reply names, by our rule and by the published one; it may name none."""
    return Prediction(
        id=example_id,
        label=reading.prediction,
        reply=reply,
        published_label=published,
        shortened=shortened,
        problem=reading.problem,
    )


def with_chain(
    prediction: Prediction, chain: str, reading: Reading, *, complete: bool, shortened: bool = False
) -> Prediction:
    """The prediction with its chain, and whether both say the same."""
    known = prediction.label is not None and reading.prediction is not None
    return dataclasses.replace(
        prediction,
        chain=chain,
        fields=reading.fields,
        chain_label=reading.prediction,
        chain_problem=reading.problem,
        cut=not complete,
        shortened=prediction.shortened or shortened,
        agrees=prediction.label == reading.prediction if known else None,
    )


def softmax(logprobs: Sequence[float], temperature: float) -> tuple[float, ...] | None:
    """The distribution over the label set; None where a score is no number."""
    if not all(math.isfinite(value) for value in logprobs):
        return None
    top = max(logprobs)
    weights = [math.exp((value - top) / temperature) for value in logprobs]
    return tuple(weight / sum(weights) for weight in weights)
