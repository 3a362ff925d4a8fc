"""The answer extraction of the two papers' published code, for numbers that can be compared with theirs.

They are rules as found, not good ones: `**neutral**` is not read, and an answer said twice counts as none.
"""

from __future__ import annotations

import re

_SPACED = str.maketrans(dict.fromkeys("\"'.:,", " "))
_ANSWER = re.compile(r"The answer is \(([A-Z])\)")


def published_label(reply: str, labels: tuple[str, ...]) -> str | None:
    """MulCoT-RD: the first label word after the first `Prediction`; without that, the last label word of all."""
    spelled = {label.lower(): label for label in labels}
    _, marked, rest = reply.partition("Prediction")
    words = (rest if marked else reply).lower().translate(_SPACED).split()
    named = [spelled[word] for word in words if word in spelled]
    if not named:
        return None
    return named[0] if marked else named[-1]


def published_letter(reply: str) -> str | None:
    """Multimodal-CoT: the letter in `The answer is (X)`, where the reply says it exactly once."""
    found = _ANSWER.findall(reply)
    return str(found[0]) if len(found) == 1 else None
