"""METEOR as NLTK computes it: words are matched exactly, then by stem, then by WordNet synonym.

The same greedy matching as `nltk.translate.meteor_score`, equal in every digit; stems and synonyms are looked up once
per word. Without WordNet the last step is missing, and the value has another name: `meteor_exact_stem`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import pairwise

from mulcot.metrics.tokenisation import stem

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5

Numbered = list[tuple[int, str]]
Synonyms = Callable[[str], Collection[str]]


def meteor(predicted: Sequence[str], reference: Sequence[str], synonyms: Synonyms | None) -> float:
    """The value of one pair of lowercased token lists; without `synonyms`, exact words and stems alone count."""
    said, there = list(enumerate(predicted)), list(enumerate(reference))
    exact, said, there = _match(said, there, _itself)
    said, there = [(n, stem(word)) for n, word in said], [(n, stem(word)) for n, word in there]
    stemmed, said, there = _match(said, there, _itself)
    matches = exact + stemmed
    if synonyms is not None:
        found, _, _ = _match(said, there, synonyms)
        matches += found
    if not matches:
        return 0.0
    precision, recall = len(matches) / len(predicted), len(matches) / len(reference)
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    penalty: float = GAMMA * (_chunks(sorted(matches)) / len(matches)) ** BETA
    return (1 - penalty) * mean


def _itself(word: str) -> tuple[str]:
    return (word,)


def _match(said: Numbered, there: Numbered, spellings: Synonyms) -> tuple[list[tuple[int, int]], Numbered, Numbered]:
    """Matches from the end, each word with the last free one; returns what is left as well."""
    free: dict[str, list[int]] = {}
    for place, (_, word) in enumerate(there):
        free.setdefault(word, []).append(place)
    matches, left, taken = [], [], set()
    for number, word in reversed(said):
        best = max((free[w][-1] for w in (word, *spellings(word)) if free.get(w)), default=-1)
        if best < 0:
            left.append((number, word))
            continue
        other, spelled = there[best]
        free[spelled].pop()
        taken.add(best)
        matches.append((number, other))
    return matches, left[::-1], [item for place, item in enumerate(there) if place not in taken]


def _chunks(matches: list[tuple[int, int]]) -> int:
    """How many runs of neighbours the matches fall into, in both texts at once."""
    return 1 + sum(1 for (a, b), (c, d) in pairwise(matches) if (c, d) != (a + 1, b + 1))
