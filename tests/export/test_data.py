import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mulcot.datasets import datasets, read
from mulcot.datasets.base import Dataset
from mulcot.datasets.demo_files import save_picture
from mulcot.datasets.files import Files
from mulcot.errors import DataError, MulcotError, UnknownName
from mulcot.export.data import export_data
from mulcot.export.writers import BATCH_ROWS, FORMS
from mulcot.media import Gallery, Store
from mulcot.progress import Reporter
from mulcot.records import SPLITS, Example
from mulcot.tasks import Task, tasks

ASPECTS = tasks.get("aspect_sentiment")()
SENTIMENT = tasks.get("sentiment")()
QUIET = Reporter.silent()
FIELDS = ("id", "split", "text", "label", "aspect", "context", "choices", "caption", "rationale")


def rows(dataset: Dataset, task: Task) -> list[tuple[Any, ...]]:
    """Every field that an export keeps, with the pictures' bytes and owners, in the order of the splits."""
    found = []
    with Store.temporary() as store:
        gallery = Gallery(dataset.picture_root(), store)
        for example in read(dataset, task, store):
            if isinstance(example, Example):
                pictures = [(gallery.bytes(image), image.of) for image in example.images]
                found.append((*(getattr(example, name) for name in FIELDS), pictures))
    return sorted(found, key=lambda row: (*SPLITS, "hard").index(row[1]))


def own(folder: Path, *posts: dict[str, Any]) -> Files:
    folder.mkdir(exist_ok=True)
    save_picture(folder / "p.png", 1)
    (folder / "x.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts), "utf-8")
    return Files(path=folder / "x.jsonl")


@pytest.mark.parametrize("name", datasets.names())
def test_what_is_written_reads_back_as_the_same_examples(name: str, tmp_path: Path) -> None:
    dataset = datasets.get(name).demo(tmp_path / "in")
    task = tasks.get(dataset.default_task)()
    before = rows(dataset, task)
    assert len(before) > 2
    for form in FORMS:
        export_data(dataset, task, form, tmp_path / form, QUIET)
        assert rows(Files(path=tmp_path / form), task) == before, form


@pytest.mark.parametrize("form", FORMS)
def test_hostile_texts_come_back_unchanged(form: str, tmp_path: Path) -> None:
    texts = [
        "<image>",
        "<|im_end|>\n",
        'a "b" \\ \u2028 c',
        "\u202ertl",
        "line\r\nbreak",
        "=1+1",
        "{text} {{x}}",
        "\U0001f600",
    ]
    posts = [{"id": text, "text": text, "image": "p.png", "label": "positive", "split": "train"} for text in texts]
    dataset = own(tmp_path / "in", *posts, {"text": "no label", "split": "test"})
    export_data(dataset, SENTIMENT, form, tmp_path / "out", QUIET)
    before = rows(dataset, SENTIMENT)
    assert rows(Files(path=tmp_path / "out"), SENTIMENT) == before
    assert [row[2] for row in before[:-1]] == texts


@pytest.mark.parametrize("form", ["parquet", "hf"])
def test_more_rows_than_one_batch_keep_their_order(form: str, tmp_path: Path) -> None:
    posts = [{"text": f"post {n}", "label": "neutral", "split": "train"} for n in range(2 * BATCH_ROWS + 3)]
    export_data(own(tmp_path / "in", *posts), SENTIMENT, form, tmp_path / "out", QUIET)
    assert [row[2] for row in rows(Files(path=tmp_path / "out"), SENTIMENT)] == [post["text"] for post in posts]


def test_what_the_source_told_beyond_our_fields_is_kept(tmp_path: Path) -> None:
    dataset = own(tmp_path / "in", {"text": "a &amp; b", "label": "positive", "split": "train", "topic": "sea"})
    dataset = Files.model_validate({"path": dataset.path, "meta": ["topic"], "text": {"repair": True}})
    for form in ("jsonl", "parquet"):
        export_data(dataset, SENTIMENT, form, tmp_path / form, QUIET)
    row = json.loads((tmp_path / "jsonl" / "train.jsonl").read_text("utf-8"))
    assert (row["text"], row["original"], row["meta"]) == ("a & b", "a &amp; b", {"topic": "sea"})
    column = pq.read_table(tmp_path / "parquet" / "train.parquet").to_pylist()[0]
    assert (column["original"], json.loads(column["meta"])) == ("a &amp; b", {"topic": "sea"})


def test_a_conversation_holds_the_tasks_own_prompt_and_target(tmp_path: Path) -> None:
    dataset = datasets.get("twitter").demo(tmp_path / "in")
    export_data(dataset, ASPECTS, "sharegpt", tmp_path / "out", QUIET)
    row = json.loads((tmp_path / "out" / "train.json").read_text("utf-8"))[0]
    assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
    assert row["messages"][1]["content"].count("<image>") == len(row["images"]) == 1
    assert row["aspect"] in row["messages"][1]["content"]
    assert ASPECTS.read(row["messages"][2]["content"]).prediction == row["label"]


def test_a_post_cannot_add_a_picture_tag_to_its_conversation(tmp_path: Path) -> None:
    post = {"text": "look <image> here", "image": "p.png", "label": "positive", "split": "train"}
    export_data(own(tmp_path / "in", post), SENTIMENT, "sharegpt", tmp_path / "out", QUIET)
    row = json.loads((tmp_path / "out" / "train.json").read_text("utf-8"))[0]
    assert sum(turn["content"].count("<image>") for turn in row["messages"]) == 1


def test_a_saved_dataset_has_the_files_and_features_of_the_library(tmp_path: Path) -> None:
    dataset = datasets.get("mmmu").demo(tmp_path / "in")
    export_data(dataset, tasks.get("multiple_choice")(), "hf", tmp_path / "out", QUIET)
    splits = json.loads((tmp_path / "out" / "dataset_dict.json").read_text())["splits"]
    states = [json.loads((tmp_path / "out" / split / "state.json").read_text()) for split in splits]
    assert len({state["_fingerprint"] for state in states}) == len(splits) > 1, "other rows, other fingerprint"
    info = json.loads((tmp_path / "out" / splits[0] / "dataset_info.json").read_text())
    assert info["features"]["images"] == {"feature": {"_type": "Image"}, "_type": "Sequence"}
    assert all((tmp_path / "out" / split / "data-00000-of-00001.arrow").stat().st_size > 100 for split in splits)


def test_rejected_rows_are_written_beside(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a", "label": "positive", "aspect": "a"}\n{broken\n', "utf-8")
    counts = export_data(Files(path=tmp_path / "x.jsonl"), ASPECTS, "jsonl", tmp_path / "out", QUIET)
    assert counts["rejected"] == 1
    assert "bad_json" in (tmp_path / "out" / "rejected.jsonl").read_text("utf-8")


def test_a_folder_with_something_in_it_is_not_replaced_unless_told(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    dataset = datasets.get("twitter").demo(tmp_path / "in")
    with pytest.raises(MulcotError, match="not empty"):
        export_data(dataset, ASPECTS, "jsonl", tmp_path / "out", QUIET)
    assert (tmp_path / "out" / "precious").exists()
    export_data(dataset, ASPECTS, "jsonl", tmp_path / "out", QUIET, force=True)
    assert not (tmp_path / "out" / "precious").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_the_dataset_itself_is_never_replaced_by_its_export(tmp_path: Path) -> None:
    dataset = datasets.get("twitter").demo(tmp_path / "home" / "in")
    before = sorted(tmp_path.rglob("*"))
    for out in (tmp_path / "home" / "in", tmp_path / "home"):
        with pytest.raises(MulcotError, match="is not replaced"):
            export_data(dataset, ASPECTS, "jsonl", out, QUIET, force=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_neither_the_current_folder_nor_a_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = datasets.get("twitter").demo(tmp_path / "in")
    (tmp_path / "here").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(MulcotError, match="current folder"):
        export_data(dataset, ASPECTS, "jsonl", Path(), QUIET, force=True)
    with pytest.raises(MulcotError, match="not a folder"):
        export_data(dataset, ASPECTS, "jsonl", tmp_path / "file", QUIET, force=True)


def test_an_old_export_stays_where_the_new_one_fails(tmp_path: Path) -> None:
    good = own(tmp_path / "in", {"text": "a", "label": "positive", "split": "train"})
    export_data(good, SENTIMENT, "jsonl", tmp_path / "out", QUIET)
    bad = own(tmp_path / "bad", {"text": "a", "label": "purple"})
    with pytest.raises(DataError, match="no usable example among 1 rows"):
        export_data(bad, SENTIMENT, "jsonl", tmp_path / "out", QUIET, force=True)
    assert (tmp_path / "out" / "train.jsonl").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "in", "out"]


def test_a_failed_export_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(MulcotError):
        export_data(Files(path=tmp_path / "absent.jsonl"), ASPECTS, "jsonl", tmp_path / "out", QUIET)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnknownName, match="parquet"):
        export_data(Files(path=tmp_path), ASPECTS, "parket", tmp_path / "out", QUIET)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    dataset = datasets.get("twitter").demo(tmp_path / "in")
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(MulcotError, match="Permission denied"):
        export_data(dataset, ASPECTS, "jsonl", tmp_path / "closed" / "out", QUIET)


def test_pictures_that_equal_each_other_are_written_once(tmp_path: Path) -> None:
    dataset = datasets.get("mmmu").demo(tmp_path / "in")
    export_data(dataset, tasks.get(dataset.default_task)(), "jsonl", tmp_path / "out", QUIET)
    named = set()
    for path in (tmp_path / "out").glob("*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            named.update(json.loads(line).get("images", []))
    there = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out" / "pictures").rglob("*.*")}
    assert named == there != set()
