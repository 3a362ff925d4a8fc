"""Each method on the other's home ground: multimodal-cot on posts, MulCoT-RD's student on questions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from science import write_science
from small import chain, go, write_chains, write_recipe

from mulcot.multimodal_cot.rationales import load_taught
from mulcot.open_predictor import open_predictor
from mulcot.predict.posts import Post
from mulcot.predict.predictor import JointPredictor
from mulcot.records import Prediction
from mulcot.world.posts import make_post
from mulcot.world.science import make_question
from mulcot.world.science_chains import write_science_chain

FEW = {"train": 8, "dev": 4, "test": 4}


def test_multimodal_cot_runs_on_posts_with_the_teachers_chains_as_rationales(tmp_path: Path) -> None:
    posts = [make_post(0, "train", number) for number in range(FEW["train"])]
    teacher = write_chains(tmp_path, [{"text": post.text, "cot": chain(post.truth.label)} for post in posts])
    recipe = write_science(
        tmp_path, dataset={"name": "synthetic", **FEW}, task={"name": "sentiment"}, teacher=teacher, features=None
    )
    outcomes = {outcome.stage: outcome.record.counts for outcome in go(recipe)}
    assert outcomes["rationale"]["by_imported"] == outcomes["rationale"]["taught"] > 0
    taught = load_taught(tmp_path / "run/4-rationale/taught.jsonl")
    assert all(reason.text.startswith("It is ") and "Prediction" not in reason.text for reason in taught.values())
    (found,) = open_predictor(tmp_path / "run").predict([Post(text="what a day")])
    assert isinstance(found, Prediction)
    assert set(found.probabilities) == {"positive", "neutral", "negative"}
    scores = json.loads((tmp_path / "run/6-evaluate/scores.json").read_text("utf-8"))
    assert scores["sets"]["test"]["questions"]["answer"]["groups"]["AVG"]["examples"] == FEW["test"]


@pytest.mark.slow
def test_the_student_of_mulcot_rd_runs_on_questions_with_one_line_changed(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, posts=FEW, without_chain=0)
    recipe = yaml.safe_load(path.read_text("utf-8"))
    recipe["dataset"] = {"name": "synthetic_science", **FEW}  # the line
    truths = [make_question(0, "train", number) for number in range(FEW["train"])]
    recipe["teacher"] = write_chains(
        tmp_path, [{"text": t.question.text, "cot": write_science_chain(t, n)} for n, t in enumerate(truths)]
    )
    path.write_text(yaml.safe_dump(recipe), "utf-8")
    go(path, "student.soft_labels=none", "annotate.samples=0", last="student")
    predictor = open_predictor(tmp_path / "run")
    assert isinstance(predictor, JointPredictor)
    (found,) = predictor.predict([Post(text="Which?", choices=("a", "b", "c"))], label_only=True)
    assert isinstance(found, Prediction)
    assert set(found.probabilities) == {"A", "B", "C"}
