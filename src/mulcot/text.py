"""Cleaning texts from strangers, and keeping them from becoming control tokens."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Literal

from pydantic import Field

from mulcot.records import Example
from mulcot.settings import Settings


def defuse(text: str) -> str:
    """The text with every would-be control token broken by a space."""
    return re.sub(r"<(?=[^\W\d]|[/|\uff5c])|\[(?=/?[^\W\d]\w*\])", r"\g<0> ", text)


class Cleaning(Settings):
    """Cleaning of texts; off by default, so that published data stays as published."""

    emoji: Literal["keep", "words"] = "keep"
    """`words` writes emoji out, so that models and readers without them understand."""
    repair: bool = False
    """Repair wrongly decoded text and remove symbols that nobody can read."""
    mask_users: bool = False
    """Replace user names by `@user`."""
    mask_urls: bool = False
    """Replace web addresses by `http://url`."""
    whitespace: bool = False
    """Collapse runs of whitespace."""
    max_length: int = Field(default=20_000, ge=1)
    """Longer texts are rejected, in characters."""

    def apply(self, example: Example) -> Example | str:
        """The cleaned example, or `reason: detail` where its text must be rejected."""
        if not example.text.strip():
            return "empty_text: the text is empty"
        if len(example.text) > self.max_length:
            return f"text_too_long: {len(example.text)} characters, allowed {self.max_length}"
        if "\0" in example.text:
            return "nul_byte: the text contains a NUL character"
        return example

    def changes(self, example: Example) -> tuple[str, ...]:
        """Which kinds of cleaning changed this cleaned example."""
        return ()


def normalise(text: str) -> str:
    """The text as duplicate and leakage detection compares it."""
    return one_line(re.sub(r"\W+", " ", unicodedata.normalize("NFKC", text).casefold()))


def one_line(text: str) -> str:
    """The text with every run of whitespace made one space."""
    return " ".join(text.split())


def read_text(path: Path) -> tuple[str, str]:
    """A text file of unknown encoding, and the encoding it was read with."""
    data = path.read_bytes()
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), "latin-1"
