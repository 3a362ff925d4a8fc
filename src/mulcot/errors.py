"""Every error that a person can cause, in one tree, each with a hint for the user.

    MulcotError
    ├── RecipeError        the recipe: all its problems at once
    ├── UnknownName        a plug-in, stage or option that does not exist
    ├── MissingExtra       an optional dependency that is not installed, or broken
    ├── DataError          a data source that cannot be used at all
    ├── NothingUsable      a stage came to nothing, or to too little to go on with
    ├── MediaError         one picture that cannot be used (carries a short reason code)
    ├── RunError           the run folder
    │   ├── RunLocked      somebody else is writing to it
    │   └── StageMissing   a stage is needed that has not finished
    ├── TrainingError      training cannot go on
    ├── TeacherError       the teacher's endpoint or its budget
    └── Interrupted        stopped by the user; the same command continues

Anything else that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MulcotError(Exception):
    """What went wrong, in one sentence, and in `hint` what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return printable(f"{self.message}\n  {self.hint}" if self.hint else self.message, lines=True)


class RecipeError(MulcotError):
    """One or more problems of a recipe, reported together."""

    def __init__(self, source: str, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{source}: {count}{lines}", hint="`mulcot recipe schema` describes every key.")


class UnknownName(MulcotError):
    """A name that is not registered, with the nearest ones that are."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(f"unknown {what} {name!r}", hint=suggest(name, names))


class MissingExtra(MulcotError):
    """An optional dependency that is needed and not installed, or installed and, for the reason `why`, of no use."""

    def __init__(self, package: str, extra: str, *, why: str = "") -> None:
        install = f"pip install 'mulcot[{extra}]'"
        if why:
            hint = f"`mulcot doctor` shows what is installed; {install} brings what fits together."
            super().__init__(f"{package} is installed but cannot be imported: {why}", hint=hint)
        else:
            super().__init__(f"{package} is not installed", hint=install)


class DataError(MulcotError):
    """A data source that cannot be used at all; single bad rows are rejected instead."""


class NothingUsable(MulcotError):
    """A stage came to nothing that a later one could use, or to too little of it; it does not count as finished."""


class MediaError(MulcotError):
    """One picture that cannot be used. `reason` is a short stable code, counted in the statistics."""

    def __init__(self, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class RunError(MulcotError):
    """The run folder cannot be used as asked."""


class RunLocked(RunError):
    """Another process is writing to this run folder."""


class StageMissing(RunError):
    """A stage is needed that has not finished."""


class TrainingError(MulcotError):
    """Training cannot go on: it diverged, or what it needs does not fit together."""


class TeacherError(MulcotError):
    """The teacher's endpoint, its credentials or its budget."""


class Interrupted(MulcotError):
    """Stopped on request with everything saved; the same command continues."""


def printable(text: str, *, lines: bool = False) -> str:
    """Text from outside, unable to steer a terminal; with `lines`, line breaks stay."""
    return "".join(sign if sign.isprintable() or (lines and sign == "\n") else repr(sign)[1:-1] for sign in text)


def suggest(name: str, known: list[str]) -> str:
    """The 'did you mean' half of an error."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(known)}." if known else ""
