"""Text to token ids and back. Text from outside can never become a control token, whatever it says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable

from transformers import PreTrainedTokenizerBase

from mulcot.errors import MulcotError


class SafeTokenizer:
    """A tokenizer that keeps text and control tokens apart."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.added: dict[str, int] = dict(tokenizer.get_added_vocab())
        self.controls = tuple(sorted(i for i, token in tokenizer.added_tokens_decoder.items() if token.special))
        longest_first = sorted(self.added, key=len, reverse=True)
        self._added = re.compile("|".join(re.escape(token) for token in longest_first)) if longest_first else None
        self.known = max(tokenizer.get_vocab().values()) + 1
        """All ids below this one have a meaning; a model's head may be wider."""

    def encode_text(self, text: str) -> list[int]:
        """The ids of a text in which every control token is spelt out like any other word."""
        ids: list[int] = []
        for piece in self._pieces(text):
            encoded = self.tokenizer(piece, add_special_tokens=False, verbose=False)
            ids.extend(encoded["input_ids"])
        return ids

    def control(self, token: str) -> int:
        """The id of a control token."""
        if token not in self.added:
            raise MulcotError(
                f"the tokenizer has no control token {token!r}",
                hint="This backbone writes its prompts with it; check that `model` is of the family it says.",
            )
        return self.added[token]

    def text(self, ids: Iterable[int]) -> str:
        """What the ids say, without control tokens."""
        known = [token for token in ids if token < self.known]
        decoded = self.tokenizer.decode(known, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(decoded)

    def fingerprint(self) -> str:
        """A hash of what decides the ids: vocabulary, merges, normalisation, splitting, control tokens."""
        state = json.loads(self.tokenizer.backend_tokenizer.to_str())
        parts = {key: state.get(key) for key in ("model", "normalizer", "pre_tokenizer", "added_tokens")}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _pieces(self, text: str) -> Iterable[str]:
        """Cuts the text inside every added token it spells, so that no piece contains one."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        start = 0
        while self._added is not None and (found := self._added.search(text, start)) is not None:
            yield text[start : found.start() + 1]
            start = found.start() + 1
        if start < len(text):
            yield text[start:]
