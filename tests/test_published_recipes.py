"""The recipes with the published settings, and what the page about real models says of them."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.cli import app
from mulcot.cli.check import check
from mulcot.datasets.mvsa import Mvsa
from mulcot.datasets.twitter import Twitter
from mulcot.errors import RecipeError
from mulcot.methods import MULCOT_RD
from mulcot.progress import Reporter
from mulcot.recipe import load_recipe
from mulcot.yamltree import merge, read_tree

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "recipes" / "mulcot_rd"
RECIPES = sorted(FOLDER.glob("*.yaml"))
PAGE = (ROOT / "docs/real-models.md").read_text("utf-8")
PUBLISHED: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "published_runs.py"))

recipes = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


def test_the_page_speaks_of_every_recipe() -> None:
    assert {path.stem for path in RECIPES} == set(PUBLISHED["ROWS"])
    assert all(f"`{path.name}`" in PAGE for path in RECIPES)


@recipes
def test_without_the_variable_the_recipe_says_which(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA", raising=False)
    with pytest.raises(RecipeError, match="DATA is not set") as caught:
        load_recipe(path)
    assert len(caught.value.problems) == 1


@recipes
def test_where_the_data_are_missing_nothing_else_is_wrong(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA", str(tmp_path / "nowhere"))
    verdict = check(load_recipe(path, [f"output={tmp_path / 'run'}"]), Reporter.silent())
    assert len(verdict.problems) == 1
    assert "nowhere" in verdict.problems[0]


@recipes
def test_where_data_are_there_the_recipe_is_ready(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", str(tmp_path))
    root = Path(load_recipe(path).recipe.dataset.root)  # type: ignore[attr-defined]
    made = (Twitter if path.stem.startswith("twitter") else Mvsa).demo(tmp_path / "demo")
    root.symlink_to(made.root, target_is_directory=True)
    own = [f"output={tmp_path / 'run'}"]
    if path.stem.startswith("mvsa"):
        # The demo copy has one annotator, and no row for test.
        own += ["dataset.variant=auto", "evaluate.splits=[train]"]
    verdict = check(load_recipe(path, own), Reporter.silent())
    assert verdict.problems == ()
    assert verdict.statistics is not None
    assert verdict.statistics.summary()["examples"] > 0


@recipes
def test_missing_weights_are_named(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", str(tmp_path))
    monkeypatch.setenv("ASSISTANT", "/no/7B")
    monkeypatch.setenv("STUDENT", "/no/3B")
    verdict = check(load_recipe(path, [f"output={tmp_path / 'run'}"]), Reporter.silent())
    assert verdict.problems[1:] == (
        "assistant: there is no model folder /no/7B",
        "student: there is no model folder /no/3B",
    )


@recipes
def test_every_stage_is_described_and_the_models_are_the_published_ones(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA", "data")
    for name in ("ASSISTANT", "STUDENT"):
        monkeypatch.delenv(name, raising=False)
    recipe = load_recipe(path).recipe
    assert all(recipe.stage(name) for name in MULCOT_RD.stages if name != "report")
    shapes = PUBLISHED["SHAPES"]
    for stage, size in ((recipe.assistant, "7B"), (recipe.student, "3B")):
        assert stage is not None and isinstance(stage.backbone, QwenVL)
        assert stage.backbone.model == f"Qwen/{shapes[size].name}"
        assert (stage.training.epochs, stage.training.batch_size, stage.training.learning_rate) == (20, 40, 3e-4)
        assert stage.backbone.lora is not None and stage.backbone.lora.rank == 16
    assert recipe.teacher is not None
    assert getattr(recipe.teacher.backend, "model", "").startswith(f"Qwen/{shapes['72B'].name}")


def test_the_shapes_give_the_parameters_that_the_checkpoints_have() -> None:
    """As the checkpoints' own index files state them."""
    known = {"72B": 73_410_777_344, "7B": 8_292_166_656, "3B": 3_754_622_976}
    assert {size: shape.parameters for size, shape in PUBLISHED["SHAPES"].items()} == known


def test_the_shapes_are_those_of_the_architecture() -> None:
    torch = pytest.importorskip("torch")
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    shape = PUBLISHED["SHAPES"]["3B"]
    text = {
        "hidden_size": shape.hidden, "intermediate_size": shape.inner, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.key_heads, "vocab_size": shape.words,
        "tie_word_embeddings": shape.tied,
    }  # fmt: skip
    vision = {
        "hidden_size": 1280, "intermediate_size": shape.vision_inner, "depth": 32, "num_heads": 16,
        "out_hidden_size": shape.hidden,
    }  # fmt: skip
    with torch.device("meta"):
        config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=shape.tied)
        model = Qwen2_5_VLForConditionalGeneration(config)
    assert sum(weight.numel() for weight in model.parameters()) == shape.parameters


@pytest.mark.parametrize("name", ["twitter2015", "mvsa_single"])
def test_the_teacher_s_costs_are_those_of_the_estimate_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate = PUBLISHED["teacher_estimate"](name)
    monkeypatch.setenv("DATA", str(tmp_path))
    made = (Twitter if name.startswith("twitter") else Mvsa).demo(tmp_path / "demo")
    Path(load_recipe(FOLDER / f"{name}.yaml").recipe.dataset.root).symlink_to(made.root)  # type: ignore[attr-defined]
    words = ["teacher", "estimate", str(FOLDER / f"{name}.yaml"), f"output={tmp_path / 'run'}"]
    words += ["dataset.variant=auto"] if name.startswith("mvsa") else []
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    found = re.search(r"examples +([\d,]+)", done.output)
    requests = re.search(r"requests to come +about ([\d,]+)", done.output)
    assert found and requests
    number = int(found[1].replace(",", ""))
    share = estimate.requests / estimate.examples
    assert int(requests[1].replace(",", "")) == pytest.approx(number * share, abs=1)
    assert re.search(rf"tokens per reply {estimate.assumptions['tokens_per_reply']:g}", done.output)
    assert re.search(rf"tokens per picture {estimate.assumptions['tokens_per_picture']:g}", done.output)


def test_the_lines_to_change_make_a_valid_recipe(tmp_path: Path) -> None:
    block = re.search(r"## Recipe changes.*?```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block
    changes, written = tmp_path / "changes.yaml", tmp_path / "r.yaml"
    changes.write_text(block[1], "utf-8")
    demo = read_tree(ROOT / "recipes/demo.yaml").data
    new = read_tree(changes).data
    for section, keys in new.items():  # a plug-in of another name takes none of the old one's options
        for key in keys if section != "dataset" else ():
            demo.setdefault(section, {}).pop(key, None)
    demo.pop("dataset")
    written.write_text(json.dumps(merge(demo, new)), "utf-8")
    recipe = load_recipe(written).recipe
    assert recipe.assistant is not None and isinstance(recipe.assistant.backbone, QwenVL)


def test_the_commands_overrides_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "data")
    overrides = re.findall(r"\b((?:teacher|assistant|student|dataset|evaluate|output)[\w.]*=[\w./]+)", PAGE)
    assert len(overrides) >= 6
    load_recipe(FOLDER / "twitter2015.yaml", sorted(set(overrides)))
