"""The published recipe on a slice of the real Twitter-2015, on tiny models, with chains of a real 72B teacher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mulcot.cli.check import check
from mulcot.evaluation.scores import Scores
from mulcot.methods import MULCOT_RD
from mulcot.pipeline import run, status
from mulcot.progress import Reporter
from mulcot.recipe import load_recipe
from mulcot.records import Example, Prediction, Rationale, read_lines

torch.set_num_threads(1)

RECIPE = Path(__file__).parents[2] / "recipes/mulcot_rd/twitter2015.yaml"
TRAIN, DEV, TEST = 24, 8, 8

pytestmark = pytest.mark.slow


def slice_of(data: Path, folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A few rows in the published layout; those with a chain, which belong to test, serve as training rows."""
    chains = json.loads((data / "teacher_rationales_sample.json").read_text("utf-8"))[:TRAIN]
    wanted = {(chain["image_id"], chain["aspect"]) for chain in chains}
    header, *test = (data / "test.tsv").read_text("utf-8").splitlines()
    taught = [line for line in test if (line.split("\t")[2].split(".")[0], line.split("\t")[4]) in wanted]
    rest = [line for line in test if line not in taught]
    dev = (data / "dev.tsv").read_text("utf-8").splitlines()[1:]
    assert len(taught) == TRAIN
    root = folder / "twitter2015"
    root.mkdir()
    for name, lines in {"train": taught, "dev": dev[:DEV], "test": rest[:TEST]}.items():
        (root / f"{name}.tsv").write_text("\n".join([header, *lines]) + "\n", "utf-8")
    (folder / "chains.json").write_text(json.dumps(chains), "utf-8")
    return root, chains


def overrides(data: Path, root: Path, folder: Path) -> list[str]:
    """What makes the published recipe small: other teacher and backbones, a single epoch, short chains."""
    own = [f"output={folder / 'run'}", f"dataset.root={root}", f"dataset.images={data / 'images'}"]
    own += ["teacher.backend={}", "teacher.backend.name=imported", f"teacher.backend.path={folder / 'chains.json'}"]
    for size in ("assistant", "student"):
        own += [f"{size}.backbone={{}}", f"{size}.backbone.name=tiny", f"{size}.backbone.size={size}"]
        own += [f"{size}.training.epochs=1", f"{size}.training.batch_size=8"]
    own += ["annotate.decoding.max_tokens=24", "evaluate.decoding.max_tokens=24", "evaluate.faithfulness=2"]
    return [*own, "evaluate.similarity=false"]


@pytest.fixture
def twitter(real_data: Path) -> Path:
    data = real_data / "twitter2015"
    if not (data / "teacher_rationales_sample.json").is_file():
        pytest.skip("no teacher_rationales_sample.json in MULCOT_DATA/twitter2015")
    return data


def test_the_published_recipe_runs_from_real_posts_to_scores(
    twitter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA", str(twitter.parent))
    root, chains = slice_of(twitter, tmp_path)
    loaded = load_recipe(RECIPE, overrides(twitter, root, tmp_path))
    assert check(loaded, Reporter.silent()).problems == ()
    run(loaded, Reporter.silent())
    folder = loaded.folder
    states = [(name, state) for name, state, _ in status(folder)]
    stages = [(f"{number}-{name}", name) for number, name in enumerate(MULCOT_RD.stages, 1)]
    assert states == [(place, "finished") for place, name in stages if loaded.recipe.stage(name)]

    examples = list(read_lines(folder / "1-dataset/examples.jsonl", Example))
    assert [example.split for example in examples].count("train") == TRAIN
    rationales = list(read_lines(folder / "2-teacher/rationales.jsonl", Rationale))
    failures = (folder / "2-teacher/failures.jsonl").read_text("utf-8").splitlines()
    assert len(rationales) + len(failures) == TRAIN
    assert len(rationales) >= 0.9 * TRAIN, failures
    assert (folder / "2-teacher/unmatched.jsonl").read_text("utf-8") == "", "every chain has found its post"
    written = {(chain["text"], chain["aspect"]): chain["cot"] for chain in chains}
    known = {example.id: example for example in examples}
    for rationale in rationales:
        example = known[rationale.example_id]
        assert rationale.fields["Text_analysis"][:40] in written[example.text, example.aspect]
        assert rationale.prediction == example.label

    scores = Scores.model_validate_json((folder / "6-evaluate/scores.json").read_text("utf-8"))
    assert set(scores.sets) == {"test"}
    assert {"assistant", "student", "student_generated", "majority"} <= set(scores.sets["test"].models)
    answers = list(read_lines(folder / "6-evaluate/predictions/test/student.jsonl", Prediction))
    assert [answer.id for answer in answers] == [example.id for example in examples if example.split == "test"]
    for answer in answers:
        assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-4)
