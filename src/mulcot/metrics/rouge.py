"""ROUGE-L twice: as the package `rouge` 1.0.1 has it, which both papers used, and as `rouge-score` has it.

Both rest on the longest common subsequence. Its table is kept as one integer per row, one bit per column, where a zero
bit says that the value grows in this column; that is some thirty times faster than a table of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

Sentence = tuple[str, ...]

_EPSILON = 1e-8
"""Added to the denominator by the package."""


def published_rouge_l(predicted: str, reference: str) -> float:
    """The F value of `rouge` 1.0.1, which cuts at every period and counts each word once.

    The words that any reference sentence and any predicted sentence have in common, in order, are united; precision
    and recall compare that set with the sets of all words.
    """
    if not predicted.strip() or not reference.strip():
        return 0.0
    said, there = _sentences(predicted), _sentences(reference)
    if not said or not there:
        return 0.0
    said_words, there_words = set().union(*said), set().union(*there)
    found = len(_united(there, said, said_words & there_words))
    precision, recall = found / len(said_words), found / len(there_words)
    return 2.0 * ((precision * recall) / (precision + recall + _EPSILON))


def standard_rouge_l(predicted: Sequence[str], reference: Sequence[str]) -> float:
    """The F value of `rougeL` in rouge-score, from its tokens."""
    if not predicted or not reference:
        return 0.0
    common = _common_length(reference, predicted)
    precision, recall = common / len(predicted), common / len(reference)
    return 2 * precision * recall / (precision + recall) if common else 0.0


def _sentences(text: str) -> list[Sentence]:
    """Each different sentence once: a repeated one adds no word. One of blanks alone is one empty word."""
    return list(dict.fromkeys(tuple(part.split()) or ("",) for part in text.split(".") if part))


def _united(there: list[Sentence], said: list[Sentence], common: set[str]) -> set[str]:
    """The words of the longest common subsequences of all pairs of sentences.

    Only pairs that share a word which is not found yet can add one, so most pairs are never looked at. Predicted words
    that the reference lacks change nothing and are left out; the other way round they decide between equal lengths.
    """
    said = list(dict.fromkeys(tuple(word for word in sentence if word in common) for sentence in said))
    holders: dict[str, list[int]] = {}
    for number, sentence in enumerate(said):
        for word in set(sentence):
            holders.setdefault(word, []).append(number)
    vocabularies = [set(sentence) for sentence in said]
    found: set[str] = set()
    for sentence in there:
        missing = common.intersection(sentence) - found
        for number in sorted({number for word in missing for number in holders[word]}):
            if missing.isdisjoint(vocabularies[number]):
                continue
            words = _common_words(sentence, said[number])
            found |= words
            missing -= words
            if not missing:
                break
    return found


def _common_words(x: Sentence, y: Sentence) -> set[str]:
    """The words of one longest common subsequence: of several the one the package finds, walking back from the end."""
    rows = [(1 << len(y)) - 1, *_rows(x, y)]
    i, j = len(x), len(y)
    words = set()
    while i and j:
        if x[i - 1] == y[j - 1]:
            words.add(x[i - 1])
            i, j = i - 1, j - 1
        elif rows[i] >> (j - 1) & 1:
            j -= 1
        else:
            i -= 1
    return words


def _common_length(x: Sequence[str], y: Sequence[str]) -> int:
    row = _rows(x, y)[-1]
    return len(y) - row.bit_count()


def _rows(x: Sequence[str], y: Sequence[str]) -> list[int]:
    """The table's rows after each word of `x` (Hyyro's bit-parallel form)."""
    places: dict[str, int] = {}
    for column, word in enumerate(y):
        places[word] = places.get(word, 0) | 1 << column
    row = full = (1 << len(y)) - 1
    rows = []
    for word in x:
        here = row & places.get(word, 0)
        if here:
            row = ((row + here) | (row - here)) & full
        rows.append(row)
    return rows
