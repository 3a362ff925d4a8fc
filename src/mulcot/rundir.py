"""The run folder: where things lie, what is finished, and who may write.

    runs/<name>/recipe.yaml           the resolved recipe, variables unexpanded
    runs/<name>/1-dataset/stage.json  written last: its presence means the stage is whole

A stage is fresh when its `stage.json` carries the fingerprint of today's settings and inputs. Everything is written
beside its place and then renamed, so a reader never sees half a file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mulcot.errors import MulcotError, RunError, RunLocked, StageMissing, printable
from mulcot.records import Json, Record
from mulcot.settings import fingerprint

BROKEN_OFF = ".broken-off"
"""Written where a run ends with an error."""
FORMAT = 1
"""The layout of a run folder; a folder of a later format is refused, one of an earlier format is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord(Record):
    """`stage.json`: what a finished stage was made of and what it made."""

    stage: str
    fingerprint: str
    format: int = FORMAT
    settings: Json = field(default_factory=dict)
    """The recipe sections as written, variables unexpanded."""
    inputs: Json = field(default_factory=dict)
    """Fingerprints of what went in: earlier stages, source files."""
    outputs: Json = field(default_factory=dict)
    """Every file made: its size, time and SHA-256."""
    counts: Json = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """What came out so weak that a person should know it."""
    started: str = ""
    seconds: float = 0.0
    provenance: Json = field(default_factory=dict)


class StageFolder:
    """One stage's folder in a run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def name(self) -> str:
        """The stage's name, without its number."""
        return self.path.name.partition("-")[2] or self.path.name

    @property
    def record(self) -> StageRecord | None:
        """The finished stage's record; None where the stage is not whole."""
        try:
            data = json.loads((self.path / "stage.json").read_text("utf-8"))
            record = StageRecord.from_json(data)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            hint = "Delete it; the stage will run again."
            raise RunError(f"{self.path / 'stage.json'} is damaged", hint=hint) from None
        if record.format > FORMAT:
            hint = "Use the version of mulcot that made it, or start a new run folder."
            made = f"format {record.format}, known {FORMAT}"
            raise RunError(f"{self.path} was made by a later version ({made})", hint=hint)
        return record

    def finished(self) -> StageRecord:
        """The record of a stage that must be whole."""
        record = self.record
        if record is None:
            hint = "Run the earlier stages first: `mulcot run RECIPE`."
            raise StageMissing(f"{self.path} is not finished", hint=hint)
        return record

    @property
    def begun(self) -> str | None:
        """The fingerprint of the work in this folder, finished or not; None where nothing was begun."""
        started = self.path / "started.json"
        return _read_json(started).get("fingerprint") if started.exists() else None

    def begin(self, fingerprint: str, keeps: tuple[str, ...]) -> None:
        """Prepares the folder. Work begun under other settings is set aside, except the files the stage `keeps`."""
        before = self.begun
        if before is not None and before != fingerprint:
            self._set_aside(keeps)
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "stage.json").unlink(missing_ok=True)
        write_json(self.path / "started.json", {"fingerprint": fingerprint})

    def finish(self, record: StageRecord) -> None:
        """Writes `stage.json`, last of all; what killed attempts left half written is gone by then."""
        for left in self.path.rglob(".*.part"):
            left.unlink(missing_ok=True)
        write_json(self.path / "stage.json", record.to_json())

    def clear(self, patterns: Sequence[str]) -> None:
        """Removes what a finished stage needs no more."""
        for pattern in patterns:
            for path in self.path.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)

    def outputs(self, known: Json, bulky: tuple[str, ...] = ()) -> Json:
        """Size, time and hash of every file of the stage outside its `bulky` folders; `known` saves reading again."""
        out: Json = {}
        for path in sorted(p for p in self.path.rglob("*") if p.is_file() and not p.is_symlink()):
            name = path.relative_to(self.path).as_posix()
            if name not in ("stage.json", "started.json") and not name.startswith((".", *bulky)):
                out[name] = file_stamp(path, known.get(name))
        return out

    def content(self) -> str:
        """A hash of what a finished stage holds now: a file replaced by hand makes later stages run again."""
        record = self.finished()
        hashes = {}
        for name, known in record.outputs.items():
            path = self.path / name
            if not path.is_file():
                hint = "Delete the stage's stage.json; the stage will run again."
                raise RunError(f"{path} is gone, though its stage was finished", hint=hint)
            hashes[name] = file_stamp(path, known)["sha256"]
        return fingerprint(hashes)

    def _set_aside(self, keeps: tuple[str, ...]) -> None:
        shelf = self.path.parent / "superseded"
        shelf.mkdir(exist_ok=True)
        number = 1 + sum(1 for _ in shelf.glob(f"{self.path.name}-*"))
        aside = shelf / f"{self.path.name}-{number}"
        self.path.rename(aside)
        self.path.mkdir()
        for name in keeps:
            for kept in aside.glob(name):
                shutil.move(str(kept), self.path / kept.name)


class RunFolder:
    """One run: its recipe, its stages in order, its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stage(self, number: int, name: str) -> StageFolder:
        """`<number>-<name>`, numbered from 1 in the method's order; where the stage has a folder, that one, whatever
        its number, since a method may have had other stages when it was made.
        """
        known = [folder for folder in self.stages() if folder.name == name]
        return known[0] if known else StageFolder(self.path / f"{number}-{name}")

    def stages(self) -> list[StageFolder]:
        """The stage folders that exist, in order."""
        found = [p for p in self.path.glob("[0-9]*-*") if p.is_dir() and p.name.partition("-")[0].isdigit()]
        return [StageFolder(p) for p in sorted(found, key=lambda p: (int(p.name.partition("-")[0]), p.name))]

    def named(self) -> dict[str, StageFolder]:
        """The same by their names."""
        return {stage.name: stage for stage in self.stages()}

    def problems(self) -> list[str]:
        """Why nothing could be written here; found without making the folder."""
        try:
            nearest = next(path for path in (self.path, *self.path.absolute().parents) if path.exists())
            usable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK) and "\0" not in str(self.path)
        except (OSError, ValueError):
            usable = False
        return [] if usable else [f"output: {printable(str(self.path))} cannot be written"]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run for this process. The lock dies with the process, so a kill never leaves one behind."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a+")
        except (OSError, ValueError) as error:
            problem = f"{self.path} cannot be written: {getattr(error, 'strerror', None) or error}"
            raise RunError(problem, hint="Choose another place with `output`.") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RunLocked(f"{self.path} is in use{_holder(file)}", hint="Wait for it, or stop it.") from None
            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            (self.path / BROKEN_OFF).unlink(missing_ok=True)
            try:
                yield
            except BaseException:
                with suppress(OSError):
                    write_text(self.path / BROKEN_OFF, f"by process {os.getpid()}\n")
                raise

    def broken_off(self, since: float) -> bool:
        """Whether the process that holds the run has ended with an error since then; for those that help it."""
        try:
            return (self.path / BROKEN_OFF).stat().st_mtime >= since
        except FileNotFoundError:
            return False

    def stamps(self, paths: tuple[Path, ...]) -> list[Json]:
        """The stamps of files outside the run, remembered so that large ones are hashed once."""
        cache = self.path / ".hashes.json"
        known = _read_json(cache) if cache.exists() else {}
        keys = [fingerprint(str(path)) for path in paths]
        fresh = {key: file_stamp(path, known.get(key)) for key, path in zip(keys, paths, strict=True)}
        if any(known.get(key) != stamp for key, stamp in fresh.items()):
            write_json(cache, {**known, **fresh})
        return [fresh[key] for key in keys]

    def states(self) -> Iterator[tuple[StageFolder, str]]:
        """Each stage: `finished`, `unfinished`, or `outdated` by an earlier one."""
        stages = {stage.name: stage for stage in self.stages()}
        known: dict[str, tuple[str, str | None]] = {}
        for stage in stages.values():
            yield stage, _state(stage, stages, known)[0]

    def write_recipe(self, text: str) -> None:
        """Keeps the resolved recipe beside its results."""
        write_text(self.path / "recipe.yaml", text)


def _state(
    stage: StageFolder, stages: Mapping[str, StageFolder], known: dict[str, tuple[str, str | None]]
) -> tuple[str, str | None]:
    """A stage's state, and what it holds where it is finished; `known` keeps what was found of others."""
    if stage.name not in known:
        record = stage.record
        known[stage.name] = ("unfinished", None)
        if record is not None:
            # A stage that has to run again changes what follows, even before it has run.
            inputs = {name: made for name, made in record.inputs.items() if name in stages}
            current = all(_state(stages[name], stages, known)[1] == made for name, made in inputs.items())
            known[stage.name] = ("finished", _content(stage)) if current else ("outdated", None)
    return known[stage.name]


def _content(stage: StageFolder) -> str | None:
    """What a finished stage holds now; None where files are gone."""
    try:
        return stage.content()
    except RunError:
        return None


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name only when it is complete and on disk."""
    if path.is_symlink():
        path = path.resolve()
    if path.exists() and not path.is_file():  # renaming over /dev/stdout would replace it for everybody
        raise RunError(f"{path} cannot be written: it is no ordinary file", hint="Name another file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def need_place(path: Path, example: str = "page.html") -> None:
    """Refuses a place where no file can be written, before any work is done for it; `example` is a name for one."""
    if path.is_dir():
        raise MulcotError(f"{path} is a folder", hint=f"Name a file, such as {path / example}.")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise MulcotError(f"{path} cannot be written: {above} is not a folder", hint="Name another file.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise MulcotError(f"{path} cannot be written: no right to write into {above}", hint="Name another file.")


def write_text(path: Path, text: str) -> None:
    """Writes a whole text file, or nothing."""
    with atomic(path) as file:
        file.write(text.encode("utf-8"))


def share(folder: Path) -> None:
    """Gives files the rights of any others. Weights are written for their owner alone, which shuts out a service that
    runs as somebody else.
    """
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o666 & ~mask)


def write_json(path: Path, value: Any) -> None:
    """Writes a whole JSON file, or nothing."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_stamp(path: Path, known: Json | None = None) -> Json:
    """Size, time and hash; the hash is taken from `known` where size and time have not changed."""
    stat = path.stat()
    stamp: Json = {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    if known and all(known.get(key) == value for key, value in stamp.items()):
        return known
    return {**stamp, "sha256": file_hash(path)}


def _read_json(path: Path) -> Json:
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _holder(file: IO[str]) -> str:
    file.seek(0)
    pid = file.read().strip()
    return f" by process {pid}" if pid.isdigit() else ""
