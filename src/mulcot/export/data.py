"""A dataset in a form that other tools read, pictures included; the `files` dataset reads all of it back.

    jsonl      train.jsonl ... and pictures/
    sharegpt   train.json ...: conversations for LLaMA-Factory, ms-swift and others, and pictures/
    parquet    train.parquet ... with the pictures inside
    hf         a folder for `datasets.load_from_disk`

Beside them, rejected.jsonl holds every row that could not be used.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

from mulcot.datasets.base import Dataset
from mulcot.datasets.read_rows import read
from mulcot.errors import DataError, MulcotError, UnknownName
from mulcot.export.writers import FORMS, SplitWriter
from mulcot.media import Gallery, Store
from mulcot.progress import Reporter
from mulcot.records import Example
from mulcot.tasks.base import Task


def export_data(
    dataset: Dataset, task: Task, form: str, out: Path, reporter: Reporter, *, force: bool = False
) -> dict[str, int]:
    """Writes the dataset to the folder `out`, all of it or nothing, and returns how many rows went where."""
    if form not in FORMS:
        raise UnknownName("export format", form, FORMS)
    out = out.resolve()
    _may_replace(out, dataset, force)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        counts = _write(dataset, task, FORMS[form], part, reporter)
        if not set(counts) - {"rejected"}:
            hint = "`mulcot data stats` shows why rows were rejected."
            raise DataError(f"no usable example among {counts.get('rejected', 0)} rows", hint=hint)
        _put(part, out)
    except OSError as error:
        raise MulcotError(f"{error.filename or out}: {error.strerror or error}", hint=f"Writing to {out}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return counts


def _may_replace(out: Path, dataset: Dataset, force: bool) -> None:
    """Only an empty place, or with `force` a folder; never one that holds the dataset itself or the caller."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        if out == Path.cwd():
            raise MulcotError(f"{out} is the current folder", hint="Name a folder inside it.")
        return
    if not out.is_dir():
        raise MulcotError(f"{out} is not a folder", hint="Choose another name.")
    if not force:
        raise MulcotError(f"{out} is not empty", hint="Choose another folder, or add --force to replace it.")
    pictures = dataset.picture_root()
    needed = [Path.cwd(), *dataset.sources(), *([pictures] if pictures else [])]
    inside = next((path for path in needed if path.resolve().is_relative_to(out)), None)
    if inside is not None:
        raise MulcotError(f"{out} holds {inside} and is not replaced", hint="Choose another folder.")


def _write(dataset: Dataset, task: Task, form: type[SplitWriter], folder: Path, reporter: Reporter) -> dict[str, int]:
    counts: dict[str, int] = {}
    writers: dict[str, SplitWriter] = {}
    with ExitStack() as stack:
        store = stack.enter_context(Store.temporary())
        rejected = stack.enter_context((folder / "rejected.jsonl").open("wb"))
        bar = stack.enter_context(reporter.bar("export", unit="rows"))
        gallery: Gallery | None = None
        for record in read(dataset, task, store):
            bar.advance()
            if not isinstance(record, Example):
                rejected.write(record.to_line().encode("utf-8", "backslashreplace"))
                counts["rejected"] = counts.get("rejected", 0) + 1
                continue
            gallery = gallery or Gallery(dataset.picture_root(), store, dataset.images_limit)
            if record.split not in writers:
                writers[record.split] = form(folder, record.split, task, gallery)
                stack.callback(writers[record.split].close)
            writers[record.split].add(record)
            counts[record.split] = counts.get(record.split, 0) + 1
    form.finish(folder, list(writers))
    return counts


def _put(part: Path, out: Path) -> None:
    """Moves the finished folder to its place; what stood there goes last."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    part.rename(out)
    shutil.rmtree(old, ignore_errors=True)
