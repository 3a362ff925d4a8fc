"""Words as the published code and the standard tools cut them; every text is cut once, however many metrics read it.

NLTK is imported where it is first used: it takes a second, and brings in SciPy where that is installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

MAX_CHARACTERS = 20_000
"""More of a text is not compared: some metrics grow with the square of its length."""

_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")
_LONG_WORD = 3


def comparable(text: str) -> tuple[str, bool]:
    """What of a text is compared, and whether that is less than all of it. Lone surrogates become `?`."""
    head = text[:MAX_CHARACTERS]
    return head.encode("utf-8", "replace").decode("utf-8"), len(head) < len(text)


def cut_words(text: str) -> list[str]:
    """Words as the published code of Multimodal-CoT cuts them: at blanks and periods, with everything else kept."""
    return [word for word in re.split(r"[\s.]", text) if word]


class TokenCache:
    """The words of texts by each rule, remembered for as long as this object lives."""

    def __init__(self) -> None:
        from nltk.tokenize.treebank import TreebankWordTokenizer

        self._treebank = TreebankWordTokenizer()
        self._mteval: Callable[[str], str] = Tokenizer13a()  # type: ignore[no-untyped-call]
        self._known: dict[str, str] = {}
        self._remembered: dict[tuple[str, str], list[str]] = {}

    def treebank(self, text: str) -> list[str]:
        """NLTK's Treebank tokenizer on the lowercased text."""
        return self._recall("treebank", text) or self._keep("treebank", text, self._treebank.tokenize(text.lower()))

    def mteval(self, text: str) -> list[str]:
        """The `13a` rule of sacrebleu and of `evaluate`."""
        return self._recall("13a", text) or self._keep("13a", text, self._mteval(text).split())

    def stems(self, text: str) -> list[str]:
        """Lowercase letters and digits, words of more than three stemmed: the rule of rouge-score with its stemmer."""
        known = self._recall("stems", text)
        if known is not None:
            return known
        words = _NOT_ALPHANUMERIC.sub(" ", text.lower()).split()
        return self._keep("stems", text, [stem(word) if len(word) > _LONG_WORD else word for word in words])

    def _recall(self, rule: str, text: str) -> list[str] | None:
        return self._remembered.get((rule, text))

    def _keep(self, rule: str, text: str, words: list[str]) -> list[str]:
        kept = [self._known.setdefault(word, word) for word in words]
        self._remembered[rule, text] = kept
        return kept


@lru_cache(maxsize=2**16)
def stem(word: str) -> str:
    """NLTK's Porter stem."""
    return str(_porter().stem(word))


@cache
def _porter() -> Any:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()
