"""Bearer tokens. The file holds a name and a hash per line; the tokens themselves are nowhere.

A token is 256 random bits, so one round of SHA-256 keeps it secret: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mulcot.errors import MulcotError

LINE = re.compile(r"([\w.@-]{1,64}) +([0-9a-f]{64})")
HINT = "`mulcot serve --new-token NAME --tokens FILE` adds a line."


class NewToken(NamedTuple):
    """Shown once."""

    secret: str
    line: str


class Tokens:
    """Who may use the service."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = {name: bytes.fromhex(value) for name, value in hashes.items()}

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """The tokens of a file; refuses what it does not understand, and a file without any."""
        hashes: dict[str, str] = {}
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            found = LINE.fullmatch(line.strip())
            if found is None:
                raise MulcotError(f"{path}:{number} is not a name and a hash", hint=HINT)
            if found[1] in hashes:
                raise MulcotError(f"{path}:{number}: the name {found[1]!r} is there twice", hint="Remove one line.")
            hashes[found[1]] = found[2]
        if not hashes:
            raise MulcotError(f"{path} holds no token", hint=HINT)
        return cls(hashes)

    def owner(self, secret: str) -> str | None:
        """Whose token it is; takes the same time whoever it is."""
        digest = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        found = None
        for name, known in self._hashes.items():
            if hmac.compare_digest(digest, known):
                found = name
        return found


def new_token(name: str) -> NewToken:
    """A new token and the line that makes it known."""
    secret = f"mulcot_{secrets.token_urlsafe(32)}"
    line = f"{name} {hashlib.sha256(secret.encode()).hexdigest()}"
    if LINE.fullmatch(line) is None:
        raise MulcotError(f"{name!r} cannot name a token", hint="Use letters, digits and . _ - @, 64 at most.")
    return NewToken(secret, line)


def add_token(path: Path, name: str) -> str:
    """Adds a new token's line to the file, which only its owner can read, and returns the token."""
    token = new_token(name)
    if path.exists() and path.read_text("utf-8").strip():
        known = Tokens.read(path)
        if name in known._hashes:
            raise MulcotError(
                f"{path} already has a token named {name!r}", hint="Remove its line, or take another name."
            )
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{token.line}\n")
    return token.secret
