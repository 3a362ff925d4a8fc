"""What every extractor promises: settings that can be checked without torch, and `load`, which needs it.

An extractor is frozen: the same picture has the same features for ever, so they are made once and stored.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mulcot.errors import MulcotError
from mulcot.records import Json
from mulcot.registry import Registry
from mulcot.settings import Settings

if TYPE_CHECKING:
    from mulcot.extractors.runtime.loaded import LoadedExtractor


class Extractor(Settings):
    """The base class of all extractors."""

    @abstractmethod
    def load(self, device: str = "cpu") -> LoadedExtractor:
        """The frozen model on a device."""

    @classmethod
    @abstractmethod
    def demo(cls, folder: Path) -> Self:
        """A tiny one with random weights, made in code inside `folder`; contract tests use it."""


extractors: Registry[Extractor] = Registry("extractor", "mulcot.extractors", Extractor)  # type: ignore[type-abstract]


def load_extractor(saved: Json, device: str = "cpu", expected: str | None = None) -> LoadedExtractor:
    """The extractor that a store or a model remembers; with `expected`, one of another hash is refused."""
    if "name" not in saved:
        hint = "Train with one of mulcot's extractors to ask about new pictures."
        raise MulcotError("the features were imported: nothing is known of their extractor", hint=hint)
    options = {key: value for key, value in saved.items() if key != "name"}
    loaded = extractors.get(str(saved["name"])).model_validate(options).load(device)
    if expected is not None and loaded.fingerprint() != expected:
        raise MulcotError(
            f"extractor {saved['name']!r} has changed: found {loaded.fingerprint()[:12]}, expected {expected[:12]}",
            hint="Use the weights and the version that the features were made with.",
        )
    return loaded
