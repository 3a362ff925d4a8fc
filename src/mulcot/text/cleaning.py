"""The recipe's option for texts from the wild. All of it is off by default: published data stays as published."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal

from pydantic import Field

from mulcot.records import Example
from mulcot.settings import Settings
from mulcot.text.control_tokens import remove_unseen
from mulcot.text.rewriting import emoji_words, mask_urls, mask_users, one_line, repair

Step = Callable[[Example], Example]


class Cleaning(Settings):
    """Cleaning of texts; the original text is kept as well."""

    emoji: Literal["keep", "words"] = "keep"
    """`words` spells emoji out: a red heart becomes `(red heart)`."""
    repair: bool = False
    """Repair wrongly decoded text and HTML entities; remove invisible and unreadable symbols."""
    mask_users: bool = False
    """Replace user names by `@user`."""
    mask_urls: bool = False
    """Replace web addresses by `http`."""
    whitespace: bool = False
    """Make every run of spaces and line breaks one space."""
    max_length: int = Field(default=20_000, ge=1)
    """Rows with a longer text are rejected; in characters."""

    def apply(self, example: Example) -> Example | str:
        """The cleaned example, or `reason: detail` where a text of it must be rejected."""
        problem = self._problem(example)
        if problem:
            return problem
        cleaned = example
        for _, step in self._steps():
            cleaned = _kept_together(cleaned, step(cleaned))
        if not remove_unseen(cleaned.text).strip():
            return "empty_text: nothing readable is left of the text" if example.text.strip() else "empty_text: no text"
        if cleaned.text != example.text:
            return dataclasses.replace(cleaned, original=example.original or example.text)
        return cleaned

    def changes(self, example: Example) -> tuple[str, ...]:
        """Which kinds of cleaning changed the text of this cleaned example, for the statistics."""
        if example.original is None:
            return ()
        kinds, state = [], dataclasses.replace(example, text=example.original)
        for kind, step in self._steps():
            after = _kept_together(state, step(state))
            if after.text != state.text:
                kinds.append(kind)
            state = after
        return tuple(kinds)

    def _problem(self, example: Example) -> str:
        for name, text in _texts(example):
            if len(text) > self.max_length:
                return f"text_too_long: the {name} has {len(text):,} characters, allowed {self.max_length:,}"
            if "\0" in text:
                return f"nul_byte: the {name} holds a NUL character at {text.index(chr(0))}"
            if not self.repair and not _is_unicode(text):
                return f"bad_encoding: the {name} holds half a surrogate pair; `repair` would remove it"
        return ""

    def _steps(self) -> Iterator[tuple[str, Step]]:
        """The steps that are on, in their order: repaired text shows its links and emoji."""
        if self.repair:
            yield "repaired", _everywhere(repair)
        if self.mask_urls:
            yield "urls", _around_the_aspect(mask_urls)
        if self.mask_users:
            yield "users", _around_the_aspect(mask_users)
        if self.emoji == "words":
            yield "emoji", _everywhere(emoji_words)
        if self.whitespace:
            yield "whitespace", _everywhere(one_line)


def _texts(example: Example) -> Iterator[tuple[str, str]]:
    yield "text", example.text
    for name, text in (("aspect", example.aspect), ("context", example.context), ("caption", example.caption)):
        if text is not None:
            yield name, text
    for number, choice in enumerate(example.choices):
        yield f"choice {chr(ord('A') + number)}", choice


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _everywhere(rewrite: Callable[[str], str]) -> Step:
    def step(example: Example) -> Example:
        aspect = None if example.aspect is None else rewrite(example.aspect)
        return dataclasses.replace(_rewritten(example, rewrite), aspect=aspect)

    return step


def _around_the_aspect(mask: Callable[[str, str], str]) -> Step:
    """A user or link that is the aspect, or part of it, is what the row is about."""

    def step(example: Example) -> Example:
        keep = example.aspect or ""
        return _rewritten(example, lambda text: mask(text, keep))

    return step


def _rewritten(example: Example, rewrite: Callable[[str], str]) -> Example:
    return dataclasses.replace(
        example,
        text=rewrite(example.text),
        context=None if example.context is None else rewrite(example.context),
        caption=None if example.caption is None else rewrite(example.caption),
        choices=tuple(rewrite(choice) for choice in example.choices),
    )


def _kept_together(before: Example, after: Example) -> Example:
    """A step that would part an aspect from its text, or make two choices equal, is left out for that row."""
    lost = before.aspect is not None and before.aspect in before.text and (after.aspect or "") not in after.text
    merged = len(set(after.choices)) < len(set(before.choices))
    return before if lost or merged else after
