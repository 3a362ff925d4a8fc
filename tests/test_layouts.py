"""A whole run with a model whose attention takes no mask of branches, and everything that is done with its models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import go, write_recipe

from mulcot import Post, Predictor
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.export.model import export_model
from mulcot.records import Prediction
from mulcot.world.picture import paint
from mulcot.world.posts import make_post
from ordinary import refuse_branches
from serving.running import served

QUICK = ("evaluate.similarity=false", "evaluate.faithfulness=2", 'evaluate.decoding={"max_tokens": 8}')


@pytest.mark.slow
def test_a_run_and_its_models_need_ordinary_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_branches(monkeypatch)
    recipe = write_recipe(tmp_path, posts={"train": 12, "dev": 4, "test": 4})
    go(recipe, "assistant.backbone.layout=two_rows", "student.objective.classes=1", *QUICK)
    scores = json.loads((tmp_path / "run/6-evaluate/scores.json").read_text("utf-8"))
    assert scores["sets"]["test"]["models"]["student"]["labels"]["accuracy"] >= 0

    post = make_post(0, "test", 0)
    asked = [Post(text=post.text, image=paint(post.scene, 56)), Post(text="no picture at all, and longer")]
    predictor = Predictor.load(tmp_path / "run", "cpu", decoding=Decoding(max_tokens=12))
    found = predictor.predict(asked)
    assert all(isinstance(one, Prediction) and one.chain for one in found)
    assert "".join(predictor.stream(asked[0])) == found[0].chain
    assert predictor.predict(asked, generate=True)
    with served(predictor, name="student") as service:
        status, one = service.json("/v1/predict", {"text": asked[1].text})
        assert (status, one["label"]) == (200, found[1].label)
        assert service.ask("/v1/predict/stream", {"text": asked[1].text})[0] == 200
    export_model(tmp_path / "run", "merged", tmp_path / "merged")
    export_model(tmp_path / "run", "adapter", tmp_path / "adapter")
