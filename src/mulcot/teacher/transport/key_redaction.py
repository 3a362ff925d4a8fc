"""A server's key: masked in what people read, never looked for in data unless it cannot be an ordinary word.

Many servers want no key and get `none`, `EMPTY` or `x`. Whoever blanks these blanks words of the replies. So a reply is
never altered; one that repeats a key that cannot be a word is refused as a whole.
"""

from __future__ import annotations

import html
import json
import os
import re
from urllib.parse import quote

from mulcot.errors import TeacherError

MASK = "***"
SECRET_LENGTH = 16
"""From here on a key with letters and digits cannot be a word."""
LONG = 32
"""From here on nothing can."""
DISTINCT = 8
"""Fewer different characters, such as in `xxxxxxxxxxxxxxxx`, are no key that is worth anything."""
LOOKED_AT = 2000
"""Characters of a server's own words that are read."""
DETAIL = 300
"""Characters of them that are kept."""

_WORDS = re.compile(r"(?:[A-Z]?[a-z]+|[A-Z]+|[0-9]+)(?:[-_./](?:[A-Z]?[a-z]+|[A-Z]+|[0-9]+))*")
# What looks like a key is taken out of errors even if it is not ours: gateways quote their own.
_ANY = (r"\b(?:sk|pk|rk)-[\w*-]{8,}", r"(?i:bearer)\s+[\w.~+/*=-]{8,}")


def is_secret(key: str) -> bool:
    """Whether a text that holds this key can only have it from us."""
    mixed = any(c.isdigit() for c in key) and any(c.isalpha() for c in key)
    return len(set(key)) >= DISTINCT and (len(key) >= LONG or (len(key) >= SECRET_LENGTH and mixed))


class Key:
    """The key to a server, or none; its value goes into one header and nowhere else."""

    def __init__(self, value: str = "") -> None:
        self.value = value
        self._secret = re.compile("|".join(_spellings(value))) if is_secret(value) else None
        if self._secret is not None:
            own = _spellings(value)
        else:
            # No sentence has so long a word; nothing is learned from errors.
            long = len(value) >= SECRET_LENGTH and value.isalnum() and len(set(value)) >= DISTINCT
            word = not value or (_WORDS.fullmatch(value) and not long)
            own = [] if word else [rf"(?<!\w){re.escape(value)}(?!\w)"]
        self._shown = re.compile("|".join([*own, *_ANY]))

    def repeated_in(self, text: str) -> bool:
        """Whether a model's words hold the key; never where it could be an ordinary word."""
        if self._secret is None:
            return False
        # Invisible characters are taken out of chains later and escapes are decoded: both put the key together again.
        plain = _unescaped(text)
        return bool(self._secret.search(plain) or self._secret.search("".join(filter(str.isprintable, plain))))

    def hidden(self, text: str) -> str:
        """A server's words for people: without the key, on one line, short, and unable to command a terminal."""
        seen = self._shown.sub(MASK, _unescaped(text))[
            :LOOKED_AT
        ]  # masked first: a cut through the key would leave its beginning
        line = "".join(filter(str.isprintable, " ".join(seen.split())))
        return self._shown.sub(MASK, line)[:DETAIL]


def read_key(variable: str | None) -> Key:
    """The key that a variable of the environment holds. Raises `TeacherError` where it holds none."""
    if variable is None:
        return Key()
    value = os.environ.get(variable, "").strip()
    if not value:
        raise TeacherError(f"the variable {variable} is not set", hint=f"`export {variable}=...` before the run.")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise TeacherError(f"the value of {variable} is no key: it holds characters that no key has")
    return Key(value)


def _unescaped(text: str) -> str:
    """The text with JSON's numbered characters as themselves."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)


def _spellings(key: str) -> list[str]:
    """Patterns of the key as it is, in JSON, in an address and in a page."""
    quoted = json.dumps(key)[1:-1]
    found = {key, quoted, quoted.replace("/", r"\/"), quote(key, safe=""), quote(key), html.escape(key)}
    return [re.escape(one) for one in sorted(found, key=len, reverse=True)]
