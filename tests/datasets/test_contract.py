"""What every registered dataset keeps, whoever wrote it."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mulcot.datasets.base import Dataset, Row, datasets
from mulcot.datasets.read_rows import read
from mulcot.datasets.readers.mapping import SPLIT_ORDER
from mulcot.errors import DataError
from mulcot.media import Gallery, Store
from mulcot.records import Example, ImageRef, Rejected
from mulcot.tasks.base import tasks

NAMES = datasets.names()


@pytest.fixture(params=NAMES)
def cls(request: pytest.FixtureRequest) -> type[Dataset]:
    return datasets.get(request.param)


def test_the_published_datasets_are_registered() -> None:
    assert {"twitter", "mvsa", "scienceqa", "aokvqa", "mmmu", "files"} <= set(NAMES)


def test_the_class_is_documented_down_to_each_option(cls: type[Dataset]) -> None:
    assert (sys.modules[cls.__module__].__doc__ or "").count("\n") >= 3, "the module shows a real row"
    assert cls.__doc__
    for name, info in cls.model_fields.items():
        assert info.description, f"{cls.name}.{name} is not documented"
    assert tasks.get(cls.default_task)


def test_the_demo_gives_examples_that_suit_the_usual_task(cls: type[Dataset], tmp_path: Path, collect: Any) -> None:
    dataset = cls.demo(tmp_path)
    task = tasks.get(cls.default_task)()
    outcome = collect(dataset, task)
    assert outcome.examples
    for example in outcome.examples:
        assert task.problem(example) is None
        assert example.split in SPLIT_ORDER
        assert example.id
        assert example.text.strip()
    assert any(example.label for example in outcome.examples)
    assert any(example.images for example in outcome.examples)


def test_reading_twice_gives_the_same_rows(cls: type[Dataset], tmp_path: Path, collect: Any) -> None:
    dataset = cls.demo(tmp_path)
    first, second = collect(dataset), collect(dataset)
    assert first.rows == second.rows
    assert cls.model_validate(dataset.model_dump()).fingerprint() == dataset.fingerprint()


def test_the_same_demo_elsewhere_gives_the_same_rows(cls: type[Dataset], tmp_path: Path, collect: Any) -> None:
    here, there = collect(cls.demo(tmp_path / "here")), collect(cls.demo(tmp_path / "there"))
    assert here.rows == there.rows, "no row may know where on the machine it was read"


def test_ids_are_unique(cls: type[Dataset], tmp_path: Path, collect: Any) -> None:
    ids = collect(cls.demo(tmp_path)).ids
    assert len(set(ids)) == len(ids)


def test_every_picture_can_be_opened_and_was_measured(cls: type[Dataset], tmp_path: Path) -> None:
    dataset = cls.demo(tmp_path)
    with Store.temporary() as store:
        rows = list(read(dataset, tasks.get(cls.default_task)(), store))
        gallery = Gallery(dataset.picture_root(), store, dataset.images_limit)
        pictures = [image for row in rows if isinstance(row, Example) for image in row.images]
        for image in pictures:
            assert gallery.open(image).size == (image.width, image.height)
            assert len(image.sha256) == 64
            assert not Path(image.path).is_absolute()


def test_records_survive_json(cls: type[Dataset], tmp_path: Path, collect: Any) -> None:
    for row in collect(cls.demo(tmp_path)).rows:
        kind: Any = Example if isinstance(row, Example) else Rejected
        assert kind.from_json(json.loads(row.to_line())) == row


def test_rows_are_raw_and_say_where_they_stood(cls: type[Dataset], tmp_path: Path) -> None:
    dataset = cls.demo(tmp_path)
    with Store.temporary() as store:
        rows = list(dataset.rows(store))
    places = [row.source for row in rows]
    assert len(set(places)) == len(places)
    for row in rows:
        assert not Path(row.source).is_absolute()
        assert str(tmp_path) not in row.source
        if isinstance(row, Row):
            assert all(isinstance(image, ImageRef) and not image.width for image in row.example.images)


def test_the_sources_exist_and_deciding_a_row_they_make_a_run_stale(cls: type[Dataset], tmp_path: Path) -> None:
    dataset = cls.demo(tmp_path)
    sources = dataset.sources()
    assert all(path.is_file() for path in sources)
    assert len(set(sources)) == len(sources)
    assert sources == dataset.sources()


def test_the_limit_keeps_the_first_rows_of_each_split(cls: type[Dataset], tmp_path: Path, collect: Any) -> None:
    dataset = cls.demo(tmp_path)
    every, limited = collect(dataset), collect(dataset.model_copy(update={"limit": 1}))
    for split in SPLIT_ORDER:
        whole = [example for example in every.examples if example.split == split]
        assert [example for example in limited.examples if example.split == split] == whole[:1]
    assert limited.rejected == every.rejected


def test_a_missing_source_is_one_error_that_says_what_to_do(cls: type[Dataset], tmp_path: Path) -> None:
    place = next((name for name in ("root", "path") if name in cls.model_fields), None)
    if place is None:
        pytest.skip("a generated dataset has no source")
    for target in (tmp_path / "nowhere", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        dataset = cls.model_validate({place: target})
        with pytest.raises(DataError) as caught, Store.temporary() as store:
            list(dataset.rows(store))
        assert str(target) in caught.value.message
        assert "xpected" in caught.value.hint
        with pytest.raises(DataError):
            dataset.sources()


def test_a_file_where_a_folder_is_needed_is_one_error(cls: type[Dataset], tmp_path: Path) -> None:
    if "root" not in cls.model_fields:
        pytest.skip("only for datasets that are folders")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is a file, not a folder") as caught:
        cls.model_validate({"root": tmp_path / "file"}).sources()
    assert "holds file" in caught.value.hint


def test_the_dataset_does_not_read_when_it_is_only_configured(cls: type[Dataset], tmp_path: Path) -> None:
    place = next((name for name in ("root", "path") if name in cls.model_fields), None)
    if place is not None:
        cls.model_validate({place: tmp_path / "nowhere"})
    assert inspect.isgeneratorfunction(cls.rows), "rows are streamed"
