"""Runs that are finished stay finished: what decides so is fixed here, stage by stage, for both methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mulcot.fingerprints import stage_fingerprint
from mulcot.pipeline import prepare
from mulcot.progress import Reporter
from mulcot.recipe import load_recipe
from mulcot.rundir import RunFolder

POSTS: dict[str, Any] = {
    "version": 1,
    "dataset": {"name": "synthetic", "train": 8, "dev": 4, "test": 4},
    "teacher": {"backend": {"name": "simulated"}},
    "assistant": {"backbone": {"name": "tiny", "size": "assistant"}},
    "annotate": {},
    "student": {"backbone": {"name": "tiny"}},
    "evaluate": {},
}
QUESTIONS: dict[str, Any] = {
    "version": 1,
    "method": "multimodal-cot",
    "dataset": {"name": "synthetic_science", "train": 8, "dev": 4, "test": 4},
    "teacher": {"backend": {"name": "simulated"}},
    "features": {"extractor": {"name": "tiny"}},
    "rationale": {},
    "answer": {},
    "evaluate": {},
}
STUDENT = {**POSTS["student"], "chains": "teacher", "soft_labels": "none"}
KNOWN = {
    "posts": {
        "dataset": "9cb438eb46404ba43c4c031114768574",
        "teacher": "931644e771b1c75ebe33428d3f668940",
        "assistant": "b6c70c0b5ba1254c2cb679db5764cd6a",
        "annotate": "aac57aa5714f52eccee65bc2394b3ef9",
        "student": "978371c25bb3eee527691cc02dc4d7bc",
        "evaluate": "5a63c8588e08228a4b71ade968d091a8",
        "report": "f07841283a924acae560f192cf79646d",
    },
    "posts without the assistant's opinion": {
        "student": "8acdd8c40d0c6cf8e7911d6e55875462",
        "evaluate": "5ec57701498e9f569074b84e29e36b78",
        "report": "f07841283a924acae560f192cf79646d",
    },
    "questions": {
        "dataset": "0063fc61cc9c2d16e344b5ffa7f39d6a",
        "teacher": "062db497e324d845ba656aed78c5b16d",
        "features": "ff2693b9af1a766b604dbdc64b48bd25",
        "rationale": "b350a10622d2f0603c7d508fedcf84fe",
        "answer": "038b7be624d19e11e9393af596a4a9e9",
        "evaluate": "488a9fae778b452bc3815f0bf66694e2",
        "report": "29aa400e502cbb9169d467123a097ac6",
    },
    "questions with one model": {
        "answer": "5076cce28ebb39e4f278ab633fd73d74",
        "evaluate": "939d67751dcfa5667b29dfe4f74ca8db",
        "report": "61ca52ffe9f76d8c9aa1b96d80a8f1ff",
    },
}
"""A change of these makes everybody's finished stages run again. Change them only with settings that change results."""

RECIPES = {
    "posts": POSTS,
    "posts without the assistant's opinion": {**POSTS, "student": STUDENT, "evaluate": {"models": ["student"]}},
    "questions": QUESTIONS,
    "questions with one model": {
        **{key: value for key, value in QUESTIONS.items() if key not in ("teacher", "features", "rationale")},
        "answer": {"format": "QCM-A"},
    },
}


@pytest.mark.parametrize("title", RECIPES)
def test_the_fingerprints_of_finished_stages_stay_as_they_are(tmp_path: Path, title: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPES[title]), "utf-8")
    loaded, found = load_recipe(path), {}
    for name in loaded.recipe.described():
        stage, job = prepare(name, loaded, RunFolder(tmp_path / "run"), Reporter.silent())
        found[name] = stage_fingerprint(stage, job, {each: each for each in job.before})
    assert {name: found[name] for name in KNOWN[title]} == KNOWN[title]
