"""BLEU: one value per pair as the published code averages it, and sacrebleu's value of the whole corpus."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU

MAX_ORDER = 4


def pair_bleu(predicted: Sequence[str], reference: Sequence[str], most: int = MAX_ORDER) -> float:
    """BLEU of one pair of token lists up to an order, without smoothing: 0 where any order has no match.

    The published code divides by zero where either list is empty; here that is 0.
    """
    if not predicted or not reference:
        return 0.0
    logarithms = 0.0
    for order in range(1, most + 1):
        there = Counter(zip(*(reference[start:] for start in range(order)), strict=False))
        said = Counter(zip(*(predicted[start:] for start in range(order)), strict=False))
        matches = sum(min(count, there[gram]) for gram, count in said.items() if gram in there)
        if not matches:
            return 0.0
        logarithms += math.log(matches / (len(predicted) - order + 1)) / most
    ratio = len(predicted) / len(reference)
    return math.exp(logarithms) * (1.0 if ratio > 1.0 else math.exp(1 - 1 / ratio))


def corpus_bleu(predictions: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
    """Corpus BLEU of sacrebleu, between 0 and 1, and its signature."""
    metric = BLEU()
    value = metric.corpus_score(list(predictions), [list(references)]).score / 100
    return value, str(metric.get_signature())
