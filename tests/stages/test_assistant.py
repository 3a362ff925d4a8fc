from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from small import chain, go, write_recipe

from mulcot.backbones.base import load_folder
from mulcot.errors import DataError, NothingUsable, TrainingError
from mulcot.recipe import load_recipe
from mulcot.tasks.saved_task import load_task

FEW = {"train": 8, "dev": 4, "test": 0}


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "run/3-assistant/model/adapter_model.safetensors").read_bytes()).hexdigest()


def test_the_same_recipe_gives_the_same_model_bit_for_bit_and_another_seed_another(tmp_path: Path) -> None:
    found = []
    for name, *options in (("a",), ("b",), ("c", "seed=1")):
        (tmp_path / name).mkdir()
        go(write_recipe(tmp_path / name, posts=FEW), *options, last="assistant")
        found.append(weights(tmp_path / name))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_examples_without_chain_teach_their_label_alone_or_are_left_out(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, posts=FEW, without_chain=3)
    assert go(recipe, last="assistant")[-1].record.counts["lessons"] == 8
    assert go(recipe, "assistant.without_chain=skip", last="assistant")[-1].record.counts["lessons"] == 5


def test_losses_and_accuracies_are_written_and_the_model_says_how_it_is_asked(tmp_path: Path) -> None:
    go(write_recipe(tmp_path, posts=FEW), last="assistant")
    folder = tmp_path / "run" / "3-assistant"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert all({"chain", "label", "loss", "learning_rate"} <= set(line) for line in lines if "loss" in line)
    looks = [line["evaluation"] for line in lines if "evaluation" in line]
    assert len(looks) == 2
    assert all(0 <= look[part]["accuracy"] <= 1 for look in looks for part in ("dev", "train"))
    assert load_task(folder / "model").task.name == "sentiment"
    assert load_folder(folder / "model").settings.image_size == 56


def test_posts_without_a_picture_are_learned_from(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, posts=FEW)
    labels = ("positive", "negative")
    rows = [{"text": f"post {n}", "label": labels[n % 2], "split": "train" if n < 6 else "dev"} for n in range(8)]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    chains = [{"text": row["text"], "cot": chain(row["label"])} for row in rows]
    (tmp_path / "chains.json").write_text(json.dumps(chains), "utf-8")
    text = recipe.read_text("utf-8")
    start, end = text.index("dataset:"), text.index("output:")
    dataset = f"dataset: {{name: files, path: {tmp_path}/posts.jsonl}}\n"
    recipe.write_text(text[:start] + dataset + text[end:], "utf-8")
    assert go(recipe, last="assistant")[-1].record.counts["lessons"] == 6


def test_without_anything_to_choose_by_or_to_learn_from_it_says_so(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, posts={**FEW, "dev": 0})
    rows = json.loads((tmp_path / "chains.json").read_text("utf-8"))
    for row in rows:  # all wrong, so that none is accepted
        row["cot"] = chain("negative" if row["cot"]["Prediction"] == "positive" else "positive")
    (tmp_path / "chains.json").write_text(json.dumps(rows), "utf-8")
    with pytest.raises(NothingUsable, match="wrong_label"):
        go(recipe, last="assistant")
    with pytest.raises(DataError, match="nothing tells which state is best"):
        go(recipe, "assistant.watch.train=0", "teacher.min_accepted=0", last="assistant")
    with pytest.raises(NothingUsable, match="no chain to learn from"):
        go(recipe, "assistant.without_chain=skip", "teacher.min_accepted=0", last="assistant")
    done = go(recipe, "teacher.min_accepted=0", last="assistant")
    assert "Models learn labels alone" in done[1].record.warnings[0]
    assert "training examples decided which state" in done[2].record.warnings[0]


def test_a_tracker_that_is_not_installed_is_refused_by_check_and_by_run(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, posts=FEW)
    option = "assistant.training.trackers=[trackio]"
    loaded = load_recipe(recipe, [option])
    stage = loaded.recipe.assistant
    assert stage is not None
    found = stage.problems(loaded.recipe.task, loaded.recipe.dataset)
    assert found == ["training.trackers: trackio is not installed: pip install trackio"]
    with pytest.raises(TrainingError, match="pip install trackio"):
        go(recipe, option, last="assistant")


def test_pictures_seen_once_train_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, posts=FEW)
    cached = "assistant.backbone.vision_cache=0.5"
    found = []
    for option in ((), (cached,), (cached,)):  # without, looking at the pictures, finding them looked at
        go(recipe, "assistant.training.micro_batch=4", *option, last="assistant")
        found.append(weights(tmp_path))
        (tmp_path / "run/3-assistant/stage.json").unlink()
    kept = [path for path in (tmp_path / "run/vision").rglob("*") if path.is_file()]
    assert len(kept) == FEW["train"] + FEW["dev"]
    assert len(set(found)) == 1


def test_a_vision_cache_for_a_tower_that_learns_is_refused(tmp_path: Path) -> None:
    loaded = load_recipe(write_recipe(tmp_path, posts=FEW), ["assistant.backbone.vision_cache=1"])
    stage = loaded.recipe.assistant
    assert stage is not None
    assert stage.problems(loaded.recipe.task, loaded.recipe.dataset) == []
    loaded = load_recipe(
        tmp_path / "recipe.yaml", ["assistant.backbone.vision_cache=1", "assistant.backbone.trained=both"]
    )
    stage = loaded.recipe.assistant
    assert stage is not None
    (problem,) = stage.problems(loaded.recipe.task, loaded.recipe.dataset)
    assert problem.startswith("backbone.vision_cache needs backbone.trained: language")
