"""Users' own files: every format, columns and labels mapped, splits, pictures, hostile rows."""

from __future__ import annotations

import csv
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mulcot.datasets.demo_files import png, save_json, save_picture
from mulcot.datasets.files import Files
from mulcot.datasets.read_rows import read
from mulcot.errors import DataError
from mulcot.media import Store
from mulcot.tasks.base import tasks

ROWS = [
    {"id": "a", "text": "what a day", "image": "1.png", "label": "positive", "split": "train"},
    {"id": "b", "text": 'so, "fine"', "image": "2.png", "label": "neutral", "split": "validation"},
    {"id": "c", "text": "two\nlines", "image": "3.png", "label": "negative", "split": "test"},
]


def write(path: Path, rows: list[dict[str, Any]], kind: str = "jsonl") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in (1, 2, 3):
        save_picture(path.parent / f"{number}.png", number)
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    elif kind == "json":
        save_json(path, rows)
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "arrow":
        table = pa.Table.from_pylist(rows)
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter={"csv": ",", "tsv": "\t"}[kind])
            writer.writeheader()
            writer.writerows(rows)
    return path


def files(path: Path, **options: Any) -> Files:
    return Files.model_validate({"path": path, **options})


KINDS = ["jsonl", "json", "csv", "tsv", "parquet", "arrow"]


def test_every_format_gives_the_same_examples(tmp_path: Path, collect: Any) -> None:
    outcomes = [collect(files(write(tmp_path / kind / f"posts.{kind}", ROWS, kind))) for kind in KINDS]
    first = outcomes[0].examples
    assert [(e.id, e.split, e.label) for e in first] == [
        ("a", "train", "positive"), ("b", "dev", "neutral"), ("c", "test", "negative"),
    ]  # fmt: skip
    assert [e.images[0].path for e in first] == ["1.png", "2.png", "3.png"]
    for outcome in outcomes:
        assert outcome.examples == first
        assert not outcome.rejected


@pytest.mark.parametrize("kind", KINDS)
def test_columns_and_labels_are_mapped(tmp_path: Path, collect: Any, kind: str) -> None:
    rows: list[dict[str, Any]] = [
        {"key": "a", "tweet": "hello Bob", "file": "1.png", "mood": 2, "who": "Bob", "age": 3, "text": "not this"},
        {"key": "b", "tweet": "bye Bob", "file": "2.png", "mood": 0, "who": "Bob", "age": 4, "text": "not this"},
    ]
    columns = {"id": "key", "text": "tweet", "image": "file", "label": "mood", "aspect": "who"}
    dataset = files(
        write(tmp_path / f"x.{kind}", rows, kind),
        columns=columns,
        labels={"0": "negative", "2": "positive"},
        meta=["age"],
    )
    examples = collect(dataset, tasks.get("aspect_sentiment")()).examples
    assert [(e.id, e.text, e.label, e.aspect, e.meta) for e in examples] == [
        ("a", "hello Bob", "positive", "Bob", {"age": "3"}), ("b", "bye Bob", "negative", "Bob", {"age": "4"}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "label"),
    [
        (1, "1"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (2.0, "2"),
        (0.5, "0.5"),
        (" x ", "x"),
        (None, None),
        ("", None),
    ],
)
def test_labels_may_be_numbers_and_truth_values(tmp_path: Path, collect: Any, written: Any, label: str | None) -> None:
    dataset = files(write(tmp_path / "x.jsonl", [{"text": "a", "label": written}]), labels={label or "-": "neutral"})
    (example,) = collect(dataset).examples
    assert example.label == ("neutral" if label else None)


def test_a_label_that_is_not_mapped_stays_and_is_judged_by_the_task(tmp_path: Path, collect: Any) -> None:
    rows = [{"text": "a", "label": "positive"}, {"text": "b", "label": "angry"}]
    outcome = collect(files(write(tmp_path / "x.jsonl", rows), labels={"0": "negative"}))
    assert [e.label for e in outcome.examples] == ["positive"]
    assert outcome.reasons == [("x.jsonl:2", "unknown_label")]


def test_questions_with_choices(tmp_path: Path, collect: Any) -> None:
    task = tasks.get("multiple_choice")()
    row = {
        "text": "Which?",
        "choices": ["x", "y"],
        "context": "Look.",
        "label": "B",
        "rationale": "So.",
        "caption": "A.",
    }
    expected = ("Which?", ("x", "y"), "Look.", "B", "So.", "A.")
    for kind in KINDS:
        written = {**row, "choices": json.dumps(row["choices"])} if kind in ("csv", "tsv") else row
        (e,) = collect(files(write(tmp_path / f"x.{kind}", [written], kind)), task).examples
        assert (e.text, e.choices, e.context, e.label, e.rationale, e.caption) == expected


def test_pictures_may_be_inside_the_table(tmp_path: Path, collect: Any) -> None:
    rows: list[dict[str, Any]] = [
        {"text": "one", "image": {"bytes": png(1), "path": "1.png"}},
        {"text": "none", "image": None},
        {"text": "by path", "image": {"bytes": None, "path": "2.png"}},
    ]
    outcome = collect(files(write(tmp_path / "x.parquet", rows, "parquet")))
    assert [[(i.stored, i.width) for i in e.images] for e in outcome.examples] == [[(True, 48)], [], [(False, 48)]]
    bare = collect(files(write(tmp_path / "y.parquet", [{"text": "x", "images": [png(1), png(2)]}], "parquet")))
    assert [len(e.images) for e in bare.examples] == [2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "x", "image": "1.png"}', "missing_column"),
        ('{"id": "x", "text": null}', "missing_value"),
        ('{"id": "x", "text": ["a"]}', "bad_value"),
        ('{"id": "x", "text": 3}', "bad_value"),
        ('{"id": "x", "text": "  "}', "empty_text"),
        ('{"id": "x", "text": "a\\u0000b"}', "nul_byte"),
        ('{"id": "x", "text": "' + "a" * 100_000 + '"}', "text_too_long"),
        ('{"id": "x", "text": "a", "label": {"b": 1}}', "bad_value"),
        ('{"id": "x", "text": "a", "label": "happy"}', "unknown_label"),
        ('{"id": "x", "text": "a", "split": "holdout"}', "unknown_split"),
        ('{"id": "x", "text": "a", "image": 5}', "bad_value"),
        ('{"id": "x", "text": "a", "image": "/etc/passwd"}', "outside_root"),
        ('{"id": "x", "text": "a", "image": "../x.jsonl"}', "outside_root"),
        ('{"id": "x", "text": "a", "image": "x.jsonl"}', "not_an_image"),
        ('{"id": "x", "text": "a", "choices": "[1"}', "bad_value"),
        ('{"id": "x", "text": "a", "aspect": 5}', "bad_value"),
        ('{"id": "a", "text": "a"}', "duplicate_id"),
        ('{"id": "x", "text": "a"', "bad_json"),
        ("[1]", "not_an_object"),
        (b'{"id": "x", "text": "caf\xe9"}', "bad_encoding"),
    ],
)
def test_a_bad_row_is_rejected_alone(tmp_path: Path, collect: Any, line: str | bytes, reason: str) -> None:
    path = write(tmp_path / "x.jsonl", ROWS)
    whole = collect(files(path))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + (line if isinstance(line, bytes) else line.encode()) + b"\n" + b"".join(lines[1:]))
    outcome = collect(files(path))
    assert [row.reason for row in outcome.rejected] == [reason]
    assert outcome.rejected[0].source == "x.jsonl:2"
    assert outcome.examples == whole.examples


def test_a_broken_quote_rejects_its_row_and_the_others_keep_their_identity(tmp_path: Path, collect: Any) -> None:
    rows = [{"text": f"post {n}, by me", "label": "neutral"} for n in range(20)]
    path = write(tmp_path / "x.csv", rows, "csv")
    whole = collect(files(path)).examples
    text = path.read_text("utf-8")
    path.write_text(text.replace('"post 7, by me"', '"post 7, by me'), "utf-8")
    outcome = collect(files(path))
    assert outcome.reasons == [("x.csv:9", "broken_quote")]
    assert outcome.examples == whole[:7] + whole[8:]


def test_made_ids_do_not_depend_on_order_or_file(tmp_path: Path, collect: Any) -> None:
    rows = [{"text": f"post {n}", "image": f"{n % 3 + 1}.png"} for n in range(6)]
    one = collect(files(write(tmp_path / "a" / "x.jsonl", rows)))
    other = collect(files(write(tmp_path / "b" / "y.csv", rows[::-1], "csv")))
    assert {e.text: (e.id, e.split) for e in one.examples} == {e.text: (e.id, e.split) for e in other.examples}
    same = collect(files(write(tmp_path / "c" / "x.jsonl", [rows[0]] * 3)))
    assert same.ids == [one.ids[0], f"{one.ids[0]}-2", f"{one.ids[0]}-3"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_missing_in_the_header_is_one_error(tmp_path: Path, collect: Any, kind: str) -> None:
    path = write(tmp_path / f"x.{kind}", [{"tweet": "a", "label": "neutral"}], kind)
    with pytest.raises(DataError, match="has no column 'text'") as caught:
        collect(files(path))
    assert "tweet, label" in caught.value.hint
    assert "columns.text" in caught.value.hint
    with pytest.raises(DataError, match="has no column 'mood' for the label"):
        collect(files(path, columns={"text": "tweet", "label": "mood"}))


def test_a_column_that_no_row_has_is_one_error(tmp_path: Path, collect: Any) -> None:
    path = write(tmp_path / "x.jsonl", ROWS)
    with pytest.raises(DataError, match="no row has 'mood', 'topic'"):
        collect(files(path, columns={"label": "mood"}, meta=["topic"]))


def test_a_folder_with_a_file_for_each_split(tmp_path: Path, collect: Any) -> None:
    for name in ("train-00001-of-00002", "train-00000-of-00002", "val", "test", "hard", "readme", "training_notes"):
        write(tmp_path / f"{name}.jsonl", [{"text": name, "split": "ignored"}])
    (tmp_path / "testament.txt").write_text("no data")
    outcome = collect(files(tmp_path))
    assert [(e.text, e.split) for e in outcome.examples] == [
        ("train-00000-of-00002", "train"), ("train-00001-of-00002", "train"), ("training_notes", "train"),
        ("val", "dev"), ("test", "test"), ("hard", "hard"),
    ]  # fmt: skip


def test_pictures_may_belong_to_choices(tmp_path: Path, collect: Any) -> None:
    base = {"text": "Which?", "choices": ["x", "y"], "images": ["1.png", "2.png", "3.png"]}
    owners: list[Any] = [["", "A", "B"], [None, "A", None], None, ["A"], "ABC", ["", "A", "<b>"], ["", "A", ["B"]]]
    rows = [{**base, "id": f"q{number}", "image_of": each} for number, each in enumerate(owners)]
    outcome = collect(files(write(tmp_path / "x.jsonl", rows)), tasks.get("multiple_choice")())
    assert [[image.of for image in e.images] for e in outcome.examples] == [["", "A", "B"], ["", "A", ""], ["", "", ""]]
    assert [row.reason for row in outcome.rejected] == ["bad_value"] * 4


def test_a_row_that_cannot_be_read_keeps_the_split_of_its_file(tmp_path: Path, collect: Any) -> None:
    write(tmp_path / "train.jsonl", [{"text": "a"}])
    (tmp_path / "val.jsonl").write_text('{"text": "b"}\n{broken\n{"text": ""}\n')
    outcome = collect(files(tmp_path))
    assert [(row.source, row.split) for row in outcome.rejected] == [("val.jsonl:2", "dev"), ("val.jsonl:3", "dev")]


@pytest.mark.parametrize("written", ["Train", " train ", "TRAINING"])
def test_splits_are_known_in_any_case(tmp_path: Path, collect: Any, written: str) -> None:
    path = write(tmp_path / "x.jsonl", [{"text": f"{number}", "split": written} for number in range(9)])
    assert {e.split for e in collect(files(path)).examples} == {"train"}


def test_patterns_say_which_files_belong_to_which_split(tmp_path: Path, collect: Any) -> None:
    for name in ("2023/jan", "2023/feb", "2024/jan"):
        write(tmp_path / f"{name}.jsonl", [{"text": name}])
    dataset = files(tmp_path, split_files={"train": "2023/*.jsonl", "test": "2024/*.jsonl"})
    assert [(e.text, e.split) for e in collect(dataset).examples] == [
        ("2023/feb", "train"), ("2023/jan", "train"), ("2024/jan", "test"),
    ]  # fmt: skip
    with pytest.raises(DataError, match="no file matches"):
        collect(files(tmp_path, split_files={"dev": "*.csv"}))
    with pytest.raises(DataError, match="is no pattern"):
        collect(files(tmp_path, split_files={"dev": "/etc/*"}))


def test_the_format_delimiter_and_pictures_can_be_set(tmp_path: Path, collect: Any) -> None:
    save_picture(tmp_path / "pictures" / "1.png", 1)
    (tmp_path / "posts.data").write_text("text;image\nhello, you;1.png\n")
    with pytest.raises(DataError, match="the format is unknown"):
        collect(files(tmp_path / "posts.data"))
    dataset = files(tmp_path / "posts.data", format="csv", delimiter=";", images=tmp_path / "pictures")
    assert [(e.text, e.images[0].width) for e in collect(dataset).examples] == [("hello, you", 48)]


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize("style", ["llava", "llama_factory"])
def test_sharegpt_records_are_recognised(tmp_path: Path, collect: Any, kind: str, style: str) -> None:
    def record(turns: list[tuple[str, str]], **rest: Any) -> dict[str, Any]:
        if style == "llava":
            names = {"user": "human", "assistant": "gpt", "system": "system"}
            return {"conversations": [{"from": names[who], "value": what} for who, what in turns], **rest}
        return {"messages": [{"role": who, "content": what} for who, what in turns], **rest}

    def pictures(*names: str) -> dict[str, Any]:
        return {"image": names[0] if names else None} if style == "llava" else {"images": list(names)}

    rows = [
        record([("system", "Briefly."), ("user", "<image>\nfine"), ("assistant", "positive")], **pictures("1.png")),
        record([("user", "<image>bad day"), ("assistant", "negative")], **pictures("2.png")),
        record([("user", "no picture")], **pictures()),
        record([("user", "no tag"), ("assistant", "neutral")], **pictures("3.png")),
        record([("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")], **pictures()),
        record([("assistant", "positive"), ("user", "backwards")], **pictures()),
    ]
    outcome = collect(files(write(tmp_path / f"x.{kind}", rows, kind)))
    assert [(e.text, e.label, e.rationale, len(e.images)) for e in outcome.examples] == [
        ("fine", "positive", None, 1), ("bad day", "negative", None, 1), ("no picture", None, None, 0),
    ]  # fmt: skip
    assert [row.reason for row in outcome.rejected] == ["image_count", "several_turns", "several_turns"]


def test_a_reply_may_be_an_explanation_and_own_columns_go_first(tmp_path: Path, collect: Any) -> None:
    turns = [{"role": "user", "content": "Which mood has: bad day?"}, {"role": "assistant", "content": "It rains."}]
    path = write(tmp_path / "x.jsonl", [{"messages": turns, "label": "negative", "text": "bad day"}])
    (example,) = collect(files(path)).examples
    assert (example.text, example.label, example.rationale) == ("bad day", "negative", None)
    (example,) = collect(files(path, answer="rationale")).examples
    assert (example.text, example.label, example.rationale) == ("bad day", "negative", "It rains.")


def test_a_turn_that_is_no_turn_rejects_its_row(tmp_path: Path, collect: Any) -> None:
    rows = [
        {"messages": ["hello"]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": []},
        {"messages": [{}]},
    ]
    outcome = collect(files(write(tmp_path / "x.jsonl", rows)))
    assert [row.reason for row in outcome.rejected] == ["bad_value", "bad_value", "several_turns", "bad_value"]


def saved(folder: Path, rows: list[dict[str, Any]]) -> None:
    """What `Dataset.save_to_disk` writes."""
    features = {"label": {"names": ["negative", "neutral", "positive"], "_type": "ClassLabel"}}
    note = json.dumps({"info": {"features": features}})
    for number, row in enumerate(rows):
        table = pa.Table.from_pylist([row]).replace_schema_metadata({"huggingface": note})
        folder.mkdir(parents=True, exist_ok=True)
        with pa.ipc.new_stream(str(folder / f"data-{number:05}-of-{len(rows):05}.arrow"), table.schema) as writer:
            writer.write_table(table)
    names = [{"filename": f"data-{number:05}-of-{len(rows):05}.arrow"} for number in range(len(rows))]
    save_json(folder / "state.json", {"_data_files": names, "_split": None})


def test_a_saved_hugging_face_dataset_is_read_without_their_library(tmp_path: Path, collect: Any) -> None:
    image = {"bytes": png(1), "path": None}
    saved(tmp_path / "test", [{"text": "c", "label": 0, "image": image}])
    saved(tmp_path / "train", [{"text": "a", "label": 2, "image": image}, {"text": "b", "label": 1, "image": image}])
    save_json(tmp_path / "dataset_dict.json", {"splits": ["test", "train"]})
    outcome = collect(files(tmp_path))
    assert [(e.text, e.split, e.label, e.images[0].width) for e in outcome.examples] == [
        ("a", "train", "positive", 48), ("b", "train", "neutral", 48), ("c", "test", "negative", 48),
    ]  # fmt: skip
    assert [e.text for e in collect(files(tmp_path / "train")).examples] == ["a", "b"]


def test_a_saved_dataset_that_cannot_be_trusted_is_one_error(tmp_path: Path, collect: Any) -> None:
    saved(tmp_path / "train", [{"text": "a", "label": 2}])
    for splits, message in (
        (["../secret"], "split '../secret'|no plain name"),
        (["holdout"], "split 'holdout'"),
        ([], "lists nothing"),
        ("train", "lists nothing"),
    ):
        save_json(tmp_path / "dataset_dict.json", {"splits": splits})
        with pytest.raises(DataError, match=message):
            collect(files(tmp_path))
    for state, message in (
        ({"_data_files": [{"filename": "../../x.arrow"}]}, "no plain name"),
        ({"_data_files": [{"filename": "gone.arrow"}]}, "does not exist"),
        ({"_data_files": []}, "lists nothing"),
        ({"_data_files": [{"filename": "a"}], "_indices_data_files": [{"filename": "i"}]}, "another order"),
        ([], "an object is needed"),
    ):
        save_json(tmp_path / "train" / "state.json", state)
        with pytest.raises(DataError, match=message):
            collect(files(tmp_path / "train"))


def test_a_hundred_thousand_rows_are_read_quickly_and_as_a_stream(tmp_path: Path, collect: Any) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("w") as file:
        for number in range(20_000):
            file.write(
                json.dumps({"id": f"p{number}", "text": f"post {number} " + "word " * 40, "label": "neutral"}) + "\n"
            )
    with Store.temporary() as store:
        start = time.process_time()
        count = sum(1 for _ in read(files(path), tasks.get("sentiment")(), store))
        seconds = time.process_time() - start
        tracemalloc.start()
        for number, _ in enumerate(read(files(path), tasks.get("sentiment")(), store)):
            if number == 3000:
                break
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert count == 20_000
    assert seconds < 10, "100 000 rows in 50 s even on a busy machine"
    assert peak < 5 * 2**20, "rows are not collected"


def test_equal_rows_do_not_cost_the_square_of_their_number(tmp_path: Path, collect: Any) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "the same"}\n' * 20_000)
    start = time.process_time()
    ids = collect(files(path)).ids
    assert len(set(ids)) == 20_000
    assert time.process_time() - start < 10
