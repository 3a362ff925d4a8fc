"""The extras of the package: what each brings, and whether it can be used here.

Whatever needs one calls `need` before it does anything else, so that no time or money is spent on what cannot end well.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from mulcot.errors import MissingExtra

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": ("torch", "transformers", "safetensors", "accelerate", "peft"),
    "similarity": ("torch", "transformers", "safetensors", "tokenizers"),
    "serve": ("fastapi", "uvicorn", "python_multipart"),
}
"""The modules of each extra that we import; all-MiniLM-L6-v2 of `similarity` may also lie in a folder of its own."""


def missing(extra: str) -> MissingExtra | None:
    """The first package of an extra that is not installed; nothing is imported."""
    return next((MissingExtra(name, extra) for name in EXTRAS[extra] if not _installed(name)), None)


def need(*extras: str) -> None:
    """Imports what the extras bring; says what is not installed, and why something installed cannot be imported."""
    for extra in extras:
        if (lacking := missing(extra)) is not None:
            raise lacking
    for extra in extras:
        for name in EXTRAS[extra]:
            try:
                import_module(name)
            except Exception as error:  # whatever a broken installation raises
                raise MissingExtra(name, extra, why=_reason(error)) from error


def of_import(error: ImportError) -> MissingExtra | None:
    """What an import that failed lacks; None where it is no extra's."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    names = [(one.name or _origin(one)).partition(".")[0] for one in chain if isinstance(one, ImportError)]
    for name in reversed(names):
        for extra, brought in EXTRAS.items():
            if name in brought:
                return MissingExtra(name, extra, why=_reason(error) if _installed(name) else "")
    return None


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # blocked, or half imported
        return False


def _origin(error: BaseException) -> str:
    """The module that raised an error, for those that name none."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))


def _reason(error: BaseException) -> str:
    """The first line of what stands behind an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines: Sequence[str] = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
