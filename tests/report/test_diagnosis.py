from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from made_runs import make_run
from mulcot.report.diagnosis import RULES, diagnose
from mulcot.report.run import read_run

SCORES, TEACHER = "6-evaluate/scores.json", "2-teacher/summary.json"
DATA, NOTES = "1-dataset/statistics.json", "4-annotate/stage.json"
FAR, BEHIND = "Chains are far from their references", "The student is well behind the assistant"
BROKEN = "Chains are cut off or name no label"
ABOVE, DRIFT = "The model is not clearly above a baseline", "Labels are distributed differently"
BLANK = {"examples": 9, "accuracy": 1, "labels_changed": 0, "chains_changed": 0}

Change = Callable[[dict[str, Any]], None]


def titles(folder: Path) -> set[str]:
    return {finding.title for finding in diagnose(read_run(folder)).findings}


def change(folder: Path, name: str, edit: Change) -> None:
    path = folder / name
    data = json.loads(path.read_text("utf-8"))
    edit(data)
    path.write_text(json.dumps(data), "utf-8")


def student(edit: Change) -> Change:
    return lambda data: edit(data["sets"]["test"]["models"]["student"])


def good(folder: Path) -> Path:
    """A run in which nothing is wrong."""
    made = make_run(folder, count=60, skills={"assistant": 0.95, "student": 0.95})
    change(made, TEACHER, lambda summary: summary.update(failed=0))
    return made


def test_a_good_run_has_no_finding_and_says_what_was_looked_for(tmp_path: Path) -> None:
    found = diagnose(read_run(good(tmp_path / "r")))
    assert found.findings == []
    assert len(found.clear) + len(found.unknown) == len(RULES)
    assert found.unknown == ["dependence on the picture"]


def test_a_run_without_numbers_is_neither_good_nor_bad(tmp_path: Path) -> None:
    found = diagnose(read_run(make_run(tmp_path / "r", stages=())))
    assert (found.findings, found.clear) == ([], [])


SCORES, TEACHER, DATA, NOTES = (
    "6-evaluate/scores.json",
    "2-teacher/summary.json",
    "1-dataset/statistics.json",
    "4-annotate/stage.json",
)


def test_what_nobody_explained_does_not_make_rationales_look_far_from_their_references(
    tmp_path: Path,
) -> None:
    """`multimodal_cot` counts it, as published; the finding is about the references that there are."""
    made = good(tmp_path / "r")
    variants = {"multimodal_cot": {"similarity": 0.7}, "standard": {"similarity": 0.9}}
    change(made, SCORES, student(lambda s: s.update(overlap=variants)))
    assert FAR not in titles(made)
    variants["standard"]["similarity"] = 0.8
    change(made, SCORES, student(lambda s: s.update(overlap=variants)))
    assert FAR in titles(made)


@pytest.mark.parametrize(
    ("file", "edit", "title"),
    [
        (SCORES, student(lambda s: s["overlap"]["paper"].update(similarity=0.84)), FAR),
        (SCORES, student(lambda s: s["labels"].update(accuracy=0.5)), BEHIND),
        (SCORES, student(lambda s: s["overlap"]["paper"].update(distinct_2=0.8, meteor=0.3)),
         "Diverse chains that match little"),
        (SCORES, student(lambda s: s["agreement"].update(share=0.8, differ=12)), "Label and chain disagree"),
        (SCORES, student(lambda s: s["calibration"][0].update(ece=0.2, confidence=0.99)), "Over-confident"),
        (SCORES, student(lambda s: s["chains"].update(cut=30)), BROKEN),
        (SCORES, student(lambda s: s["chains"].update(problems={"no_prediction": 30})), BROKEN),
        (SCORES, lambda d: d["sets"]["test"]["comparisons"][0].update(mcnemar_p=0.5), ABOVE),
        (SCORES, student(lambda s: s.update(faithfulness={"blank": BLANK})),
         "The picture does not matter"),
        (TEACHER, lambda d: d.update(stage1_accuracy=0.5), "The teacher finds few labels by itself"),
        (TEACHER, lambda d: d["accepted"].update(stage2=9), "Many chains were written with the label given"),
        (TEACHER, lambda d: d.update(failed=40, examples=100), "Many examples have no chain"),
        (NOTES, lambda d: d["counts"].update(accepted=0), "Few of the assistant's chains are usable"),
        (DATA, lambda d: d["leakage"]["train/test"].update(both=20), "The same posts in training and evaluation"),
        (DATA, lambda d: d["splits"]["test"].update(labels={"positive": 90, "neutral": 10}), DRIFT),
    ],
)  # fmt: skip
def test_each_signature_is_found_alone_with_evidence_and_a_line(
    tmp_path: Path, file: str, edit: Change, title: str
) -> None:
    folder = good(tmp_path / "r")
    change(folder, file, edit)
    found = diagnose(read_run(folder)).findings
    assert [finding.title for finding in found] == [title]
    assert all(any(sign.isdigit() for sign in text) for text in found[0].evidence)
    assert found[0].advice
    assert found[0].line


def answering(folder: Path) -> Path:
    """The same numbers for the last model of the other method."""
    made = make_run(folder, count=60, skills={"student": 0.95}, recipe={"method": "multimodal-cot"})

    def rename(data: dict[str, Any]) -> None:
        for found in data["sets"].values():
            found["models"]["answer"] = found["models"].pop("student")
            for pair in found["comparisons"]:
                pair["first"] = pair["first"].replace("student", "answer")

    change(made, SCORES, rename)
    change(made, TEACHER, lambda summary: summary.update(failed=0))
    return made


def answer(edit: Change) -> Change:
    return lambda data: edit(data["sets"]["test"]["models"]["answer"])


@pytest.mark.parametrize(
    ("edit", "title", "line"),
    [
        (answer(lambda s: s["calibration"][0].update(ece=0.2, confidence=0.99)), "Over-confident", "answer: {training"),
        (
            answer(lambda s: s["agreement"].update(share=0.8, differ=12)),
            "Label and rationale disagree",
            "rationales: gold",
        ),
        (lambda d: d["sets"]["test"]["comparisons"][0].update(mcnemar_p=0.5), ABOVE, "answer: {training"),
    ],
)
def test_advice_names_the_sections_of_the_method(tmp_path: Path, edit: Change, title: str, line: str) -> None:
    folder = answering(tmp_path / "r")
    change(folder, SCORES, edit)
    (found,) = [one for one in diagnose(read_run(folder)).findings if one.title == title]
    assert line in found.line
    assert "student" not in found.line


def test_scores_that_are_null_are_not_judged(tmp_path: Path) -> None:
    folder = good(tmp_path / "r")
    change(folder, SCORES, student(lambda s: s.update(overlap={}, agreement=None, calibration=[], chains=None)))
    assert {"similarity of chains", "agreement of label and chain"} <= set(diagnose(read_run(folder)).unknown)


def test_the_line_shows_what_the_recipe_says_now(tmp_path: Path) -> None:
    recipe = {"student": {"objective": {"soft": 0.7}}}
    folder = make_run(tmp_path / "r", count=60, skills={"assistant": 1.0, "student": 0.2}, recipe=recipe)
    behind = next(f for f in diagnose(read_run(folder)).findings if f.named_by == "authors")
    assert "now 0.7" in behind.line
