"""Untrusted texts: cleaned where the recipe asks for it, defused always."""

from mulcot.text.cleaning import Cleaning
from mulcot.text.control_tokens import defuse
from mulcot.text.files import read_text
from mulcot.text.rewriting import normalise, one_line

__all__ = ["Cleaning", "defuse", "normalise", "one_line", "read_text"]
