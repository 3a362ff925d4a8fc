import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mulcot.datasets import datasets, read
from mulcot.datasets.base import Dataset
from mulcot.datasets.files import Files
from mulcot.errors import MulcotError, UnknownName
from mulcot.export.data import FORMS, export_data
from mulcot.media import Gallery, Store
from mulcot.progress import Reporter
from mulcot.records import Example
from mulcot.tasks import tasks

ASPECTS = tasks.get("aspect_sentiment")()
QUIET = Reporter.silent()


def examples(dataset: Dataset) -> Iterator[tuple[Example, list[bytes]]]:
    task = tasks.get("aspect_sentiment" if isinstance(dataset, Files) else dataset.default_task)()
    with Store.temporary() as store:
        for record in read(dataset, task, store):
            assert isinstance(record, Example), record
            gallery = Gallery(dataset.picture_root(), store)
            yield record, [gallery.bytes(image) for image in record.images]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_reads_back_as_the_same_examples(form: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    dataset = datasets.get("twitter").demo(tmp_path / "in")
    export_data(dataset, ASPECTS, form, tmp_path / "out", QUIET)
    before = list(examples(dataset))
    after = list(examples(Files(path=tmp_path / "out")))
    keys = ("id", "split", "label", "aspect") if form == "sharegpt" else ("id", "split", "label", "aspect", "text")
    assert [[getattr(example, key) for key in keys] for example, _ in before] == [
        [getattr(example, key) for key in keys] for example, _ in after
    ]
    assert [pictures for _, pictures in before] == [pictures for _, pictures in after]
    assert len(before) > 2


def test_a_conversation_holds_the_tasks_own_prompt_and_target(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    dataset = datasets.get("twitter").demo(tmp_path / "in")
    export_data(dataset, ASPECTS, "sharegpt", tmp_path / "out", QUIET)
    row = json.loads((tmp_path / "out" / "train.json").read_text("utf-8"))[0]
    assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
    assert row["messages"][1]["content"].startswith("<image>")
    assert row["aspect"] in row["messages"][1]["content"]
    assert ASPECTS.read(row["messages"][2]["content"]).prediction == row["label"]


def test_rejected_rows_are_written_beside(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a", "label": "positive", "aspect": "a"}\n{broken\n', "utf-8")
    counts = export_data(Files(path=tmp_path / "x.jsonl"), ASPECTS, "jsonl", tmp_path / "out", QUIET)
    assert counts["rejected"] == 1
    assert "bad_json" in (tmp_path / "out" / "rejected.jsonl").read_text("utf-8")


def test_a_folder_with_something_in_it_is_not_replaced_unless_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    dataset = datasets.get("twitter").demo(tmp_path / "in")
    with pytest.raises(MulcotError, match="not empty"):
        export_data(dataset, ASPECTS, "jsonl", tmp_path / "out", QUIET)
    assert (tmp_path / "out" / "precious").exists()
    export_data(dataset, ASPECTS, "jsonl", tmp_path / "out", QUIET, force=True)
    assert not (tmp_path / "out" / "precious").exists()


def test_a_failed_export_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(MulcotError):
        export_data(Files(path=tmp_path / "absent.jsonl"), ASPECTS, "jsonl", tmp_path / "out", QUIET)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnknownName, match="parquet"):
        export_data(Files(path=tmp_path), ASPECTS, "parket", tmp_path / "out", QUIET)


def test_pictures_that_equal_each_other_are_written_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    dataset = datasets.get("mmmu").demo(tmp_path / "in")
    export_data(dataset, tasks.get(dataset.default_task)(), "jsonl", tmp_path / "out", QUIET)
    named = set()
    for path in (tmp_path / "out").glob("*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            named.update(json.loads(line).get("images", []))
    there = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out" / "pictures").rglob("*.*")}
    assert named == there != set()
