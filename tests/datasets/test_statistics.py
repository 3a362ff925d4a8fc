import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mulcot.datasets import datasets, read
from mulcot.datasets.demo_files import save_picture
from mulcot.datasets.files import Files
from mulcot.datasets.statistics import DatasetCounter, Statistics
from mulcot.media import Store
from mulcot.records import Example, ImageRef, Rejected
from mulcot.tasks import tasks

SENTIMENT = tasks.get("sentiment")()


def counter(*records: Example | Rejected, tmp_path: Path = Path()) -> Statistics:
    counted = DatasetCounter(Files(path=tmp_path), SENTIMENT)
    for record in records:
        counted.add(record)
    return counted.statistics()


def post(split: str, text: str, label: str = "positive", picture: str = "") -> Example:
    images = (ImageRef(path=f"{split}-{picture}.png", sha256=picture.encode().hex().ljust(64, "0")),) if picture else ()
    return Example(id="x", split=split, text=text, label=label, images=images)


def test_counts_lengths_and_labels_stand_in_the_tasks_order() -> None:
    found = counter(post("dev", "abc"), post("train", "a", "negative"), post("train", "ab"), post("train", "a" * 10))
    data = found.to_json()
    assert list(data["splits"]) == ["train", "dev"]
    train = data["splits"]["train"]
    assert (train["count"], train["labels"], train["without_image"]) == (3, {"positive": 2, "negative": 1}, 3)
    assert list(train["labels"]) == ["positive", "negative"]
    assert train["text_length"] == {"mean": 4.3, "median": 2, "p95": 10, "max": 10}


def test_lengths_agree_with_a_sorted_list() -> None:
    dice = random.Random(1)
    lengths = [dice.randint(1, 200) for _ in range(999)]
    shown = counter(*(post("train", "x" * length) for length in lengths)).splits["train"].text_length
    assert (shown.median, shown.max) == (sorted(lengths)[499], max(lengths))
    assert shown.p95 == sorted(lengths)[949]


def test_leakage_is_counted_in_rows_of_the_later_split_by_text_by_picture_and_by_both() -> None:
    found = counter(
        post("train", "What a DAY", picture="p"),
        post("train", "other", picture="q"),
        post("test", "what a day!!", picture="p"),
        post("test", "what a day", picture="r"),
        post("test", "new", picture="q"),
        post("test", "new too", picture="s"),
    )
    assert found.leakage == {"train/test": {"text": 2, "image": 2, "both": 1}}


def pictured(split: str, text: str, *pictures: str) -> Example:
    refs = tuple(ImageRef(path=f"{name}.png", sha256=name.encode().hex().ljust(64, "0")) for name in pictures)
    return Example(id="x", split=split, text=text, label="positive", images=refs)


def test_a_row_with_two_leaked_pictures_is_one_leaked_row() -> None:
    found = counter(pictured("train", "a", "p", "q"), pictured("test", "b", "q", "p"), pictured("test", "c", "r", "q"))
    assert found.leakage == {"train/test": {"text": 0, "image": 2, "both": 0}}


def test_text_and_pictures_leak_together_only_from_one_and_the_same_row() -> None:
    found = counter(pictured("train", "a", "p"), pictured("train", "b", "q"), pictured("dev", "a", "q"))
    assert found.leakage == {"train/dev": {"text": 1, "image": 1, "both": 0}}
    assert counter(post("train", "a"), post("dev", "a")).leakage["train/dev"] == {"text": 1, "image": 0, "both": 0}


def test_duplicates_tell_repeated_texts_pictures_and_posts_apart() -> None:
    found = counter(
        post("train", "a b", picture="p"),
        post("train", "A b", picture="p"),
        post("train", "a b"),
        post("train", "c", picture="p"),
    )
    assert found.splits["train"].duplicates == {"text": 2, "image": 2, "post": 1, "contradicting": 0}


def test_the_same_text_about_another_aspect_is_not_a_repeated_post() -> None:
    one = Example(id="1", split="train", text="a", aspect="x", label="positive")
    two = Example(id="2", split="train", text="a", aspect="y", label="negative")
    assert counter(one, two).splits["train"].duplicates == {"text": 1, "image": 0, "post": 0, "contradicting": 0}


def test_a_repeated_post_under_another_label_contradicts_and_one_without_label_does_not() -> None:
    bare = Example(id="x", split="train", text="a")
    found = counter(post("train", "a"), post("train", "a"), post("train", "A", "negative"), bare)
    assert found.splits["train"].duplicates == {"text": 3, "image": 0, "post": 3, "contradicting": 1}
    assert "under another label: train 1" in messages(found, "warning")


def test_words_are_counted_beside_characters() -> None:
    words = counter(post("train", "a b  c"), post("train", "d")).to_json()["splits"]["train"]["text_words"]
    assert words == {"mean": 2.0, "median": 1, "p95": 3, "max": 3}


def test_labels_that_belong_to_each_question_are_not_missed_in_a_split(tmp_path: Path) -> None:
    counted = DatasetCounter(Files(path=tmp_path), tasks.get("multiple_choice")())
    for split in ("train", "dev", "test"):
        counted.add(replace(pictured(split, split, split), label="A", choices=("one", "two")))
    assert not [one for one in counted.statistics().findings() if "labelled" in one.message]


def test_rejections_are_counted_by_reason_and_a_few_are_shown() -> None:
    rows = [Rejected(source=f"f:{n}", reason="bad_label", detail="d") for n in range(9)]
    found = counter(post("train", "a"), *rows, Rejected(source="f:10", reason="empty_text", detail="e"))
    assert found.rejected["total"] == 10
    assert found.rejected["reasons"] == {"bad_label": 9, "empty_text": 1}
    assert [row["source"] for row in found.rejected["examples"]["bad_label"]] == [f"f:{n}" for n in range(5)]


def messages(found: Statistics, level: str) -> str:
    return "\n".join(finding.message for finding in found.findings() if finding.level == level)


def test_findings_say_what_is_wrong() -> None:
    bad = Rejected(source="f:1", reason="bad_label", detail="d")
    assert "no usable example" in messages(counter(bad), "error")
    assert "rejected rows: 2 of 3 (66.7 %): bad_label 2" in messages(counter(bad, bad, post("train", "a")), "error")
    found = messages(counter(*[post("train", str(n)) for n in range(20)], post("test", "1")), "warning")
    assert "split dev is empty" in found
    assert "no row labelled neutral, negative" in found
    assert "100 % of train has one label" in found
    assert "known from another: train/test 1 by text" in found
    assert "no example has a picture" in found


def test_good_data_has_no_findings() -> None:
    labels = ("positive", "neutral", "negative")
    rows = [
        post(split, f"{split} {n}", labels[n % 3], f"{split}{n}")
        for split in ("train", "dev", "test")
        for n in range(30)
    ]
    assert counter(*rows).findings() == []
    few = [row for row in rows if row.split != "dev" or int(row.text.split()[1]) < 2]
    assert "split dev has only 2 examples" in messages(counter(*few), "warning")


def test_a_question_is_its_choices_its_hint_and_its_picture_too() -> None:
    """Many questions share their words: What is shown?"""
    first = replace(post("train", "What is shown?", "A", "p"), choices=("a", "b"), context="h")
    changed = ({"choices": ("a", "c")}, {"context": ""}, {"images": post("test", "", picture="q").images})
    for change in changed:
        assert counter(first, replace(first, split="test", **change)).leakage["train/test"]["text"] == 0
    assert counter(first, replace(first, split="test")).leakage["train/test"]["text"] == 1


def real(root: Path) -> Iterator[Example | Rejected]:
    twitter = datasets.get("twitter").model_validate({"root": root / "twitter2015"})
    with Store.temporary() as store:
        yield from read(twitter, tasks.get("aspect_sentiment")(), store)


def test_the_real_twitter_2015_has_its_published_counts(real_data: Path) -> None:
    twitter = datasets.get("twitter").model_validate({"root": real_data / "twitter2015"})
    counted = DatasetCounter(twitter, tasks.get("aspect_sentiment")())
    for record in real(real_data):
        counted.add(record)
    found = counted.statistics().to_json()
    assert {name: split["count"] for name, split in found["splits"].items()} == {
        "train": 3179,
        "dev": 1122,
        "test": 1037,
    }
    assert [list(split["labels"].items()) for split in found["splits"].values()] == [
        [("positive", 928), ("neutral", 1883), ("negative", 368)],
        [("positive", 303), ("neutral", 670), ("negative", 149)],
        [("positive", 317), ("neutral", 607), ("negative", 113)],
    ]
    assert [split["images"] for split in found["splits"].values()] == [2101, 727, 674]
    assert found["rejected"]["total"] == 0


@pytest.mark.parametrize("name", datasets.names())
def test_every_dataset_can_be_counted(name: str, tmp_path: Path) -> None:
    dataset = datasets.get(name).demo(tmp_path)
    counted = DatasetCounter(dataset, tasks.get(dataset.default_task)())
    with Store.temporary() as store:
        for record in read(dataset, tasks.get(dataset.default_task)(), store):
            counted.add(record)
    assert counted.statistics().summary()["examples"] > 0


def test_the_docs_show_what_the_statistics_really_are(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
    shown = json.loads(docs.split("```json\n")[1].split("```")[0])
    for number in (1, 2):
        save_picture(tmp_path / f"{number}.png", number)
    rows = [
        {"text": "Lovely day @anna", "label": "positive", "split": "train", "image": "1.png"},
        {"text": "what a lovely day", "label": "positive", "split": "train", "image": "2.png"},
        {"text": "What a  lovely day!", "label": "negative", "split": "train"},
        {"text": "lovely day @bo", "label": "positive", "split": "test", "image": "1.png"},
        {"text": "fine", "label": "great"},
    ]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    files = Files.model_validate({"path": tmp_path / "posts.jsonl", "text": {"mask_users": True}})
    counted = DatasetCounter(files, SENTIMENT)
    with Store.temporary() as store:
        for record in read(files, SENTIMENT, store):
            counted.add(record)
    assert counted.statistics().to_json() == shown
