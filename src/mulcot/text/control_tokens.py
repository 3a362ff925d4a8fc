"""No text from outside may become a chat or image control token of any tokenizer.

There is no list of tokens to keep current. All of them begin with a bracket that touches what follows, as in
`<|im_end|>`, `<image 1>`, `</s>`, `[INST]`, `[|user|]` or `|ENDOFTEXT|`; one space after that bracket breaks them, and
people hardly notice. `<3`, `a < b`, `[1]` and `->` stay as they are.
"""

from __future__ import annotations

import re

# All outside ASCII counts as part of a token: tokenizers may map full-width forms to ASCII, or drop what is invisible.
# Each class is one negated set, and none overlaps what follows it, so that matching stays linear.
_BRACKETS = "\uff3b\uff3d\ufe47\ufe48"
_FIRST = rf"[^\s\x00-@\[-^`{{-\x7f{_BRACKETS}]"
_INSIDE = rf"[^\s\x00-,.:-?\[-^`{{}}\x7f{_BRACKETS}]"
_AFTER_ANGLE = r"[^\s\x00-.0-?\\-^`{}-\x7f]"
_NAME = rf"[^\s\x00-@\[-^`a-\x7f{_BRACKETS}\uff5c]"
_JOINERS = rf"[^\x00-\x7f\s{_BRACKETS}]*"

_OPENING = re.compile(
    rf"[<\uff1c\ufe64](?={_AFTER_ANGLE}|\d[^\s<>\uff1e\ufe65]*[>\uff1e\ufe65])"
    rf"|[\[\uff3b\ufe47](?=[/@|\uff0f]?{_FIRST}{_INSIDE}*[\[\]{_BRACKETS}])"
    rf"|[\]\uff3d\ufe48](?={_JOINERS}(?:[~<\uff5e\uff1c\ufe64]|!{_JOINERS}[A-Za-z]))"
    rf"|[|\uff5c](?={_NAME}+[|\uff5c])"
)

_UNSEEN = re.compile(
    "(?P<flag>\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f)"
    "|(?P<blank>[\x0b\x0c\x1c-\x1f\x85\u2028\u2029])"
    "|(?P<lone>[\ud800-\udfff])"
    "|[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff0-\ufffb\U000e0000-\U000e0fff]"
)


def defuse(text: str) -> str:
    """The text as a prompt may hold it: no control tokens, no invisible controls, no reversed writing direction."""
    return _OPENING.sub(r"\g<0> ", remove_unseen(text))


def remove_unseen(text: str) -> str:
    """The text without invisible controls; what joins emoji and letters stays, and so do flags."""
    return _UNSEEN.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    return {"flag": match[0], "blank": " ", "lone": "\ufffd"}.get(match.lastgroup or "", "")
