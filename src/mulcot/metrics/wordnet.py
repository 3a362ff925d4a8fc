"""WordNet's synonyms, read straight from its database files: Debian's folder, NLTK's folder or NLTK's archive.

Only the lookup that METEOR needs: the spellings of all senses of a word, found by its base forms as WordNet itself and
NLTK find them. Nothing is ever downloaded.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from mulcot.errors import DataError

DEBIAN = Path("/usr/share/wordnet")
MAX_BYTES = 64 * 2**20
"""Of one database file; the largest of WordNet 3.0 has 15 MB."""

ENDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        ("s", ""),
        ("ses", "s"),
        ("ves", "f"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    "verb": (
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}
"""The endings that are taken off, by kind of word."""

FILES = tuple(f"{part}.{kind}" for kind in ENDINGS for part in ("index", "data")) + tuple(f"{k}.exc" for k in ENDINGS)
_MARKER = re.compile(r"\([^()]*\)$")
_HINT = "Debian's package wordnet-base has them in /usr/share/wordnet; NLTK's `wordnet` corpus works too."


class WordNet:
    """The database, held in memory."""

    def __init__(self, source: str, read: Callable[[str], bytes]) -> None:
        self.source = source
        self._index, self._data, self._exceptions = {}, {}, {}
        for kind in ENDINGS:
            lines = read(f"index.{kind}").split(b"\n")
            self._index[kind] = {line[: line.find(b" ")]: line for line in lines if line and line[:1] != b" "}
            self._data[kind] = read(f"data.{kind}")
            rows = (line.split() for line in read(f"{kind}.exc").split(b"\n"))
            self._exceptions[kind] = {row[0]: row[1:] for row in rows if row}
        if not self._index["noun"]:
            raise DataError(f"{source} holds no WordNet: index.noun is empty", hint=_HINT)
        self.synonyms = lru_cache(maxsize=2**16)(self._synonyms)

    def _synonyms(self, word: str) -> frozenset[str]:
        """Every spelling of every sense of a word; those of several words are left out."""
        form = word.lower().encode("utf-8")
        found: set[str] = set()
        for kind, index in self._index.items():
            for base in {form, *self._bases(form, kind)}:
                if base in index:
                    found.update(name for offset in _offsets(index[base]) for name in self._names(kind, offset))
        return frozenset(found)

    def _bases(self, form: bytes, kind: str) -> list[bytes]:
        exceptions = self._exceptions[kind]
        if form in exceptions:
            return exceptions[form]
        endings = ((old.encode(), new.encode()) for old, new in ENDINGS[kind])
        return [form[: -len(old)] + new for old, new in endings if form.endswith(old)]

    def _names(self, kind: str, offset: int) -> list[str]:
        data = self._data[kind]
        fields = data[offset : data.find(b"\n", offset)].split()
        try:
            number, count = int(fields[0]), int(fields[3], 16)
        except (IndexError, ValueError):
            number, count = -1, 0
        if number != offset:
            raise DataError(f"{self.source}: data.{kind} has no sense at byte {offset}", hint=_HINT)
        names = (_MARKER.sub("", name.decode("utf-8", "replace")) for name in fields[4 : 4 + 2 * count : 2])
        return [name for name in names if "_" not in name]


def find_wordnet() -> Path | None:
    """Where NLTK looks for its `wordnet` corpus, then Debian's folder; None where neither is."""
    import nltk

    corpora = [Path(root) / "corpora" for root in nltk.data.path]
    places = [folder / name for folder in corpora for name in ("wordnet", "wordnet.zip")]
    return next((place for place in (*places, DEBIAN) if _usable(place)), None)


def open_wordnet(path: Path) -> WordNet:
    """The WordNet in a folder with `index.noun` and its companions, or in NLTK's `wordnet.zip`."""
    try:
        if path.is_dir():
            missing = [name for name in FILES if not (path / name).is_file()]
            if missing:
                raise DataError(f"{path} holds no WordNet: {', '.join(missing[:3])} missing", hint=_HINT)
            return WordNet(str(path), lambda name: _limited((path / name).stat().st_size, path / name).read_bytes())
        with zipfile.ZipFile(path) as archive:
            return WordNet(str(path), lambda name: _unpacked(archive, path, name))
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{path} is no folder or archive with WordNet's files: {error}", hint=_HINT) from None


def _usable(place: Path) -> bool:
    try:
        return all((place / name).is_file() for name in FILES) or (place.suffix == ".zip" and place.is_file())
    except OSError:
        return False


def _limited(size: int, path: Path) -> Path:
    if size > MAX_BYTES:
        raise DataError(f"{path} has {size:,} bytes, more than WordNet's files", hint=_HINT)
    return path


def _unpacked(archive: zipfile.ZipFile, path: Path, name: str) -> bytes:
    member = archive.getinfo(f"wordnet/{name}")
    _limited(member.file_size, path / name)
    return archive.read(member)


def _offsets(line: bytes) -> list[int]:
    fields = line.split()
    return [int(field) for field in fields[-int(fields[2]) :]]
