"""One small registry, used by every plug-in family.

    datasets: Registry[Dataset] = Registry("dataset", __name__, Dataset)

    @datasets.register("twitter")
    class Twitter(Dataset): ...

A family's folder is its list: at the first look-up every file in it is imported, then the entry points of its group,
which is called as the folder unless said otherwise, so that other packages can join in the same way. There is no
central list to edit.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from mulcot.errors import MulcotError, UnknownName
from mulcot.settings import Settings

T = TypeVar("T", bound=Settings)
C = TypeVar("C", bound=type[Settings])


class Registry(Generic[T]):
    """The plug-ins of one family by name."""

    def __init__(self, what: str, package: str, base: type[T], group: str | None = None) -> None:
        self.what = what
        self.package = package
        self.group = group or package
        """The group of entry points through which other packages add plug-ins."""
        self.base = base
        self._classes: dict[str, type[T]] = {}
        self._loaded = False

    def register(self, name: str, called: str = "") -> Callable[[C], C]:
        """Class decorator: `name` is what the recipe says; `called` is the class's own name, where it is another."""

        def decorate(cls: C) -> C:
            old = self._classes.get(name)
            if old is not None and (old.__module__, old.__qualname__) != (cls.__module__, cls.__qualname__):
                raise MulcotError(f"two classes are registered as {self.what} {name!r}: {old!r} and {cls!r}")
            cls.name = called or name
            self._classes[name] = cls  # type: ignore[assignment]
            return cls

        return decorate

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        self._load()
        return tuple(sorted(self._classes))

    def get(self, name: str) -> type[T]:
        """The class registered as `name`."""
        self._load()
        if name not in self._classes:
            raise UnknownName(self.what, name, self._classes)
        return self._classes[name]

    def __iter__(self) -> Iterator[type[T]]:
        return (self.get(name) for name in self.names())

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        load_entry_points(self.group)


_loaded: set[str] = set()


def load_entry_points(group: str) -> None:
    """Imports, once, what other packages add to a group."""
    if group in _loaded:
        return
    _loaded.add(group)
    for point in entry_points(group=group):
        try:
            point.load()
        except ImportError as error:
            hint = "Install what it needs, or uninstall the package that brings it."
            raise MulcotError(
                f"the plug-in {point.name!r} ({point.value}) cannot be loaded: {error}", hint=hint
            ) from error
