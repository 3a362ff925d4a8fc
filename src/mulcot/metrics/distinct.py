"""Distinct-n: how many of a text's n-grams are different ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Gram = tuple[str, ...]


def text_distinct(words: Sequence[str], order: int) -> float:
    """Different n-grams over all n-grams of one text; 0 where it has none."""
    grams = _grams(words, order)
    return len(set(grams)) / len(grams) if grams else 0.0


def corpus_distinct(texts: Iterable[Sequence[str]], order: int) -> float:
    """Different n-grams over all n-grams of all texts together."""
    different: set[Gram] = set()
    total = 0
    for words in texts:
        grams = _grams(words, order)
        different.update(grams)
        total += len(grams)
    return len(different) / total if total else 0.0


def _grams(words: Sequence[str], order: int) -> list[Gram]:
    return list(zip(*(words[start:] for start in range(order)), strict=False))
