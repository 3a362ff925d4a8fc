"""Texts from data and from models on their way to a terminal."""

from __future__ import annotations


def harmless(text: str) -> str:
    """One line that cannot steer the terminal: what is not printable is shown as its code."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
