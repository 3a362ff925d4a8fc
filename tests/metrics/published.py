"""The published way, written slowly on purpose: what the fast code must equal in every digit."""

from __future__ import annotations

import collections
import math
import re

PUNCTUATION = re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])")


def mteval_words(text: str) -> list[str]:
    """The 13a rule as mteval-v13a.pl describes it."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, sign in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
        text = text.replace(entity, sign)
    text = PUNCTUATION.sub(r" \1 ", f" {text} ")
    text = re.sub(r"([^0-9])([\.,])", r"\1 \2 ", text)
    text = re.sub(r"([\.,])([^0-9])", r" \1 \2", text)
    return re.sub(r"([0-9])(-)", r"\1 \2 ", text).split()


def slow_bleu(predicted: str, reference: str, order: int = 4) -> float:
    """One pair's BLEU by its definition."""
    said, there = mteval_words(predicted), mteval_words(reference)
    precisions = []
    for size in range(1, order + 1):
        a = collections.Counter(tuple(said[i : i + size]) for i in range(len(said) - size + 1))
        b = collections.Counter(tuple(there[i : i + size]) for i in range(len(there) - size + 1))
        possible = max(len(said) - size + 1, 0)
        precisions.append(sum((a & b).values()) / possible if possible else 0.0)
    if min(precisions) == 0:
        return 0.0
    mean = math.exp(sum(math.log(p) for p in precisions) / order)
    return mean if len(said) > len(there) else mean * math.exp(1 - len(there) / len(said))


def slow_distinct(words: list[str], order: int) -> float:
    """Different over all n-grams."""
    grams = [tuple(words[i : i + order]) for i in range(len(words) - order + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0
