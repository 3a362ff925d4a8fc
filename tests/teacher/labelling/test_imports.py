from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from scripted import chain, make_job

from mulcot.datasets.base import Dataset
from mulcot.datasets.files import Files
from mulcot.datasets.twitter import Twitter
from mulcot.errors import DataError, NothingUsable
from mulcot.records import Rationale, Rejected, read_lines
from mulcot.stages.teacher import TeacherStage
from mulcot.tasks.aspect_sentiment import AspectSentiment
from mulcot.tasks.base import Task
from mulcot.tasks.sentiment import Sentiment
from mulcot.teacher.labelling.chain_files import Failure

ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "a good day", "label": "positive", "split": "train"},
    {"id": "b", "text": "a bad day", "label": "negative", "split": "train"},
    {"id": "c", "text": "a day", "label": "neutral", "split": "train"},
    {"id": "t", "text": "a test day", "label": "neutral", "split": "test"},
]


def posts(folder: Path, rows: list[dict[str, Any]] = ROWS) -> Files:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "posts.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return Files(path=folder / "posts.jsonl")


def run_import(
    tmp_path: Path, chains: list[Any], dataset: Dataset | None = None, task: Task | None = None, **settings: Any
) -> tuple[dict[str, Rationale], dict[str, Failure], list[Rejected], dict[str, Any]]:
    tmp_path.mkdir(exist_ok=True)
    lines = settings.pop("lines", False)
    path = tmp_path / ("chains.jsonl" if lines else "chains.json")
    path.write_text("\n".join(map(json.dumps, chains)) if lines else json.dumps(chains), "utf-8")
    columns, match = settings.pop("columns", {}), settings.pop("match", "auto")
    backend = {"name": "imported", "path": str(path), "columns": columns, "match": match}
    job = make_job(tmp_path / "run", dataset or posts(tmp_path / "data"), task or Sentiment())
    counts = TeacherStage.model_validate({"backend": backend, **settings}).run(job)
    return (
        {record.example_id: record for record in read_lines(job.folder / "rationales.jsonl", Rationale)},
        {record.example_id: record for record in read_lines(job.folder / "failures.jsonl", Failure)},
        list(read_lines(job.folder / "unmatched.jsonl", Rejected)),
        counts,
    )


@pytest.mark.parametrize("lines", [False, True])
def test_rows_find_their_examples_by_content_in_any_order_and_pass_the_same_checks(tmp_path: Path, lines: bool) -> None:
    chains = [
        {"text": "A  Bad day!", "cot": chain("negative"), "id": 77},
        {"text": "a good day", "cot": chain("negative"), "id": 78},
        {"text": "a test day", "cot": chain("neutral"), "id": 79},
        {"text": "elsewhere", "cot": chain("neutral"), "id": 80},
        {"text": "a good day", "cot": "", "id": 81},
        "no row",
    ]
    kept, failed, unmatched, counts = run_import(tmp_path, chains, lines=lines)
    assert set(kept) == {"b"}
    assert (kept["b"].source, kept["b"].stage, kept["b"].prediction) == ("imported", 0, "negative")
    assert {name: failure.reason for name, failure in failed.items()} == {"a": "wrong_label", "c": "no_chain"}
    assert sorted(row.reason for row in unmatched) == ["no_chain", "no_example", "no_example", "not_an_object"]
    assert (counts["chains"], counts["unmatched"]) == (6, 4)


def test_the_first_chain_that_passes_is_taken_and_the_others_are_told(tmp_path: Path) -> None:
    good = chain("positive", Final_conclusion="It ends well and says so in good words.")
    leaking = chain("positive", Final_conclusion="Since the given label is positive, it is so.")
    chains = [{"text": "a good day", "cot": text} for text in (leaking, chain("neutral"), good, chain("positive"))]
    kept, _, _, _ = run_import(tmp_path, chains)
    assert kept["a"].attempts == 3
    assert kept["a"].fields["Final_conclusion"].startswith("It ends well")


def test_an_id_counts_in_auto_only_where_the_text_agrees(tmp_path: Path) -> None:
    chains = [{"id": "a", "text": "another post", "cot": chain("positive")}, {"id": "b", "cot": chain("negative")}]
    kept, failed, _, _ = run_import(tmp_path / "auto", chains)
    assert (set(kept), failed["a"].reason) == ({"b"}, "no_chain")
    kept, _, _, _ = run_import(tmp_path / "id", chains, match="id")
    assert set(kept) == {"a", "b"}
    with pytest.raises(NothingUsable, match=r"none of 2 rows belongs to an example of train") as caught:
        run_import(tmp_path / "content", chains, match="content")
    assert "unmatched.jsonl" in caught.value.hint
    assert len((tmp_path / "content/run/2-teacher/unmatched.jsonl").read_text("utf-8").splitlines()) == 2


def test_columns_can_have_other_names_and_a_chain_can_be_an_object(tmp_path: Path) -> None:
    words = " ".join(f"w{number}" for number in range(20))
    fields = {"Text_analysis": words, "Image_analysis": "b", "Conflict_resolution": "c", "Final_conclusion": "d"}
    chains = [{"key": "a", "why": {**fields, "Prediction": "positive"}, "told": 2, "who": "big-model"}]
    columns = {"chain": "why", "id": "key", "stage": "told", "model": "who"}
    kept, _, _, _ = run_import(tmp_path, chains, columns=columns)
    assert (kept["a"].stage, kept["a"].model, kept["a"].fields["Text_analysis"]) == (2, "big-model", words)


def test_stages_of_the_file_decide_how_strict_the_rules_are(tmp_path: Path) -> None:
    leaking = chain("positive", Final_conclusion="Since the given label is positive, it is so.")
    wrong = chain("negative")
    chains = [{"text": "a good day", "cot": leaking, "stage": 1}, {"text": "a day", "cot": wrong, "stage": 2}]
    kept, failed, _, _ = run_import(tmp_path / "checked", chains, columns={"stage": "stage"})
    assert (kept["a"].stage, failed["c"].reason) == (1, "wrong_label")
    kept, _, _, _ = run_import(tmp_path / "published", chains, columns={"stage": "stage"}, preset="published")
    assert (kept["c"].stage, kept["c"].prediction) == (2, "negative")


def test_equal_posts_with_different_pictures_are_different_posts(tmp_path: Path) -> None:
    data = tmp_path / "data"
    rows = [{**ROWS[0], "id": name, "image": f"{name}.png"} for name in "xy"]
    dataset = posts(data, rows)
    for name in "xy":
        Image.new("RGB", (30, 30), (9, 9, 9 if name == "x" else 99)).save(data / f"{name}.png")
    chains = [{"text": "a good day", "image_path": "pictures\\y.jpg", "cot": chain("positive")}]
    kept, failed, _, _ = run_import(tmp_path, chains, dataset)
    assert (set(kept), set(failed)) == ({"y"}, {"x"})


def test_a_file_without_chains_says_which_columns_it_has(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no chain") as caught:
        run_import(tmp_path, [{"text": "a good day", "explanation": "x"}])
    assert "text, explanation" in caught.value.hint


def test_a_bad_stage_is_rejected_alone(tmp_path: Path) -> None:
    chains = [
        {"text": "a good day", "cot": chain("positive"), "s": 9},
        {"text": "a day", "cot": chain("neutral"), "s": 1},
    ]
    kept, _, unmatched, _ = run_import(tmp_path, chains, columns={"stage": "s"})
    assert (set(kept), [row.reason for row in unmatched]) == ({"c"}, ["bad_stage"])


def test_every_published_chain_finds_its_post(tmp_path: Path, real_data: Path) -> None:
    root = real_data / "twitter2015"
    rows = json.loads((root / "teacher_rationales_sample.json").read_text("utf-8"))
    options = {"splits": ["test"], "min_accepted": 0}  # the file is a sample
    kept, failed, unmatched, counts = run_import(tmp_path, rows, Twitter(root=root), AspectSentiment(), **options)
    assert (counts["chains"], counts["unmatched"], unmatched) == (150, 0, [])
    judged = [failure for failure in failed.values() if failure.reason != "no_chain"]
    assert {failure.reason for failure in judged} <= {"wrong_label", "contradiction", "label_leak"}
    assert len(judged) <= 8
    assert len(kept) + len(failed) == 1037
    assert len(kept) >= 142


def test_a_file_with_chains_for_few_examples_is_not_enough(tmp_path: Path) -> None:
    chains = [{"id": "a", "cot": chain("positive")}]
    assert run_import(tmp_path / "half", chains)[0]
    with pytest.raises(NothingUsable, match=r"1 of 3 training examples \(33%\); the others: no_chain 2") as caught:
        run_import(tmp_path / "more", chains, min_accepted=0.5)
    assert "backend.columns" in caught.value.hint
