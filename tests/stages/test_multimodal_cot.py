"""The stages rationale, answer and evaluate of multimodal-cot, with a tiny new T5 on drawn questions."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from science import QUESTIONS, write_science
from small import go, write_chains

import forked
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.cli.check import check
from mulcot.datasets.base import datasets
from mulcot.errors import MulcotError, NothingUsable, RecipeError, TrainingError
from mulcot.export.model import export_model
from mulcot.extractors.runtime.loaded import LoadedExtractor
from mulcot.multimodal_cot.predictor import TwoStagePredictor
from mulcot.multimodal_cot.rationales import load_explained, load_taught
from mulcot.multimodal_cot.runner import T5Runner
from mulcot.open_predictor import open_predictor
from mulcot.predict.model_folders import find_model
from mulcot.predict.posts import Post
from mulcot.progress import Reporter
from mulcot.recipe import load_recipe
from mulcot.records import Example, Prediction, Rejected, read_lines
from mulcot.report.example_gallery import draw_cases
from mulcot.report.run import read_run
from mulcot.rundir import file_hash
from mulcot.stages.answer import AnswerStage
from mulcot.stages.rationale import RationaleStage
from mulcot.stages.shared_training import DevEvaluation
from mulcot.world.science import make_question
from mulcot.world.science_chains import write_science_chain

RECIPES = Path(__file__).parents[2] / "recipes" / "multimodal_cot"
COLUMNS = {"text": "question", "label": "answer", "rationale": "solution"}
KILLED = str(Path(__file__).parent / "killed_fusion.py")


@pytest.fixture(scope="module")
def science(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and its whole run, with two folds."""
    folder = tmp_path_factory.mktemp("science")
    recipe = write_science(folder)
    go(recipe, "rationale.folds=2")
    return folder


def copy_run(science: Path, target: Path, *, without: tuple[str, ...] = ()) -> Path:
    """The recipe with a copy of the run, some stages left out."""
    target.mkdir(exist_ok=True)
    shutil.copytree(science / "run", target / "run", ignore=shutil.ignore_patterns(*without))
    text = (science / "recipe.yaml").read_text("utf-8").replace(str(science / "run"), str(target / "run"))
    (target / "recipe.yaml").write_text(text, "utf-8")
    return target / "recipe.yaml"


def hashes(stage: Path) -> dict[str, str]:
    files = [*stage.glob("model/*.safetensors"), *stage.glob("folds/*/model/*.safetensors")]
    files += [path for name in ("explained.jsonl", "taught.jsonl") if (path := stage / name).exists()]
    assert files
    return {str(path.relative_to(stage)): file_hash(path) for path in files}


def scores(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run/6-evaluate/scores.json").read_text("utf-8"))
    return found


def test_what_is_watched_may_be_set_in_part() -> None:
    assert AnswerStage(watch={"train": 50}).watch == DevEvaluation(dev=400, train=50)
    assert RationaleStage(watch={"dev": None}).watch == DevEvaluation(dev=None, train=200)


def test_what_the_answer_stage_reads_is_explained_and_by_folds_that_have_not_seen_it(science: Path) -> None:
    path = science / "run/4-rationale/explained.jsonl"
    examples = list(read_lines(science / "run/1-dataset/examples.jsonl", Example))
    assert list(load_explained(path, "model")) == [one.id for one in examples if one.split in ("train", "dev")]
    crossed = load_explained(path, "cross_fitted")
    assert set(crossed) == {example.id for example in examples if example.split == "train"}
    assert len({file_hash(p) for p in (science / "run/4-rationale").rglob("model/model.safetensors")}) == 3


def test_a_finished_stage_keeps_no_states_to_continue_from(science: Path) -> None:
    """They are many times the size of the model."""
    left = [path for name in ("checkpoints", "best") for path in (science / "run").rglob(name)]
    assert left == []
    assert len(list((science / "run").rglob("model/model.safetensors"))) == 4


def test_what_was_taught_is_kept_with_its_author(science: Path) -> None:
    taught = load_taught(science / "run/4-rationale/taught.jsonl")
    assert len(taught) == sum(QUESTIONS.values())
    assert {reason.source for reason in taught.values()} == {"human"}


def test_the_best_rationales_are_chosen_by_rouge_and_the_best_answers_by_accuracy(science: Path) -> None:
    for stage, measure in (("4-rationale", "rouge_l"), ("5-answer", "accuracy")):
        lines = [json.loads(line) for line in (science / f"run/{stage}/metrics.jsonl").read_text().splitlines()]
        assert [line for line in lines if measure in line.get("evaluation", {})]
        assert all({"loss", "text", "target_tokens"} <= set(line) for line in lines if "loss" in line)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "after"), [("rationale", 2), ("rationale", 12), ("answer", 2)])
def test_a_killed_stage_continues_to_the_same_bytes(science: Path, tmp_path: Path, stage: str, after: int) -> None:
    place = {"rationale": "4-rationale", "answer": "5-answer"}[stage]
    recipe = copy_run(science, tmp_path, without=(place, "5-answer", "6-evaluate"))
    if stage == "answer":
        shutil.copytree(science / "run/4-rationale", tmp_path / "run/4-rationale", dirs_exist_ok=True)
    options = ["rationale.folds=2", f"{stage}.training.checkpoint_minutes=1e-9", "rationale.shard=8"]
    done = forked.run(KILLED, str(recipe), stage, str(after), *options)
    assert done.returncode == -signal.SIGKILL, done.stderr
    go(recipe, *options, first=stage, last=stage)
    assert hashes(tmp_path / "run" / place) == hashes(science / "run" / place)


@pytest.mark.slow
def test_two_processes_give_the_models_of_one(science: Path, tmp_path: Path) -> None:
    recipe = copy_run(science, tmp_path, without=("4-rationale", "5-answer", "6-evaluate", "7-report"))
    words = (str(recipe), "--from", "rationale", "--to", "answer", "rationale.folds=2")
    done = forked.together(2, "-m", "mulcot", "run", *words)
    assert done.returncode == 0, done.stderr[-3000:]
    for model in ("4-rationale/model", "5-answer/model", "4-rationale/folds/1/model"):
        one, two = (load_file(folder / "run" / model / "model.safetensors") for folder in (science, tmp_path))
        assert one.keys() == two.keys()
        for name in one:
            difference = (one[name] - two[name]).norm() / one[name].norm()
            assert difference < 1e-3, (model, name, difference)


@pytest.mark.parametrize("rationales", ["own", "cross_fitted"])
def test_the_answer_model_may_learn_from_what_models_wrote(science: Path, tmp_path: Path, rationales: str) -> None:
    recipe = copy_run(science, tmp_path, without=("5-answer", "6-evaluate"))
    source = {"own": "model", "cross_fitted": "cross_fitted"}[rationales]
    outcome = go(recipe, "rationale.folds=2", f"answer.rationales={rationales}", first="answer", last="answer")[-1]
    assert outcome.record.counts[f"by_{source}"] == QUESTIONS["train"]
    assert hashes(tmp_path / "run/5-answer") != hashes(science / "run/5-answer")


def test_what_the_teacher_did_not_explain_is_read_as_the_model_or_a_person_explains_it(tmp_path: Path) -> None:
    truths = [make_question(0, "train", number) for number in range(QUESTIONS["train"])]
    chains = [{"text": t.question.text, "cot": write_science_chain(t, n)} for n, t in enumerate(truths)]
    taught = write_chains(tmp_path, chains[:-4])
    recipe = write_science(tmp_path, teacher=taught)
    options = ("rationale.authors=teacher", "rationale.folds=2", "answer.rationales=cross_fitted")
    counts = {outcome.stage: outcome.record.counts for outcome in go(recipe, *options)}
    explained = counts["rationale"]["taught"]
    assert 0 < explained < QUESTIONS["train"]
    assert counts["answer"]["by_cross_fitted"] == explained
    assert counts["answer"]["by_model"] == QUESTIONS["train"] - explained
    path = tmp_path / "run/6-evaluate/predictions/test/gold_rationale.jsonl"
    examples = {one.id: one for one in read_lines(tmp_path / "run/1-dataset/examples.jsonl", Example)}
    read = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [row["chain"] for row in read] == [examples[row["id"]].rationale for row in read]
    assert scores(tmp_path)["sets"]["test"]["models"]["answer"]["overlap"]
    gold = go(recipe, *options[:2], "answer.rationales=gold", first="answer", last="answer")[-1].record.counts
    assert gold["by_model"] == QUESTIONS["train"] - explained, "as in the end, where everything is explained"
    assert "by_none" not in gold


def test_cross_fitted_rationales_that_nobody_wrote_are_missed_clearly(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cross_fitted needs rationale\.folds"):
        go(write_science(tmp_path), "answer.rationales=cross_fitted")
    with pytest.raises(RecipeError, match=r"rationale\.authors: teacher needs a section teacher"):
        go(write_science(tmp_path), "rationale.authors=teacher")


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"evaluate": {"splits": ["hard"]}}, "evaluate: there is no labelled example in hard"),
        ({"dataset": {"name": "synthetic_science", "train": 0}}, "rationale: there is no labelled training example"),
        ({"dataset": {"name": "synthetic", "train": 9}}, "rationale: no training example has a rationale"),
    ],
)
def test_what_the_data_lack_is_found_before_anything_is_trained(
    tmp_path: Path, sections: dict[str, Any], problem: str
) -> None:
    found = check(load_recipe(write_science(tmp_path, **sections)), Reporter.silent())
    assert found.problems
    assert found.problems[0].startswith(problem)


def test_what_nobody_reads_is_noted(tmp_path: Path) -> None:
    options = ["student.backbone.name=tiny", "answer.format=QCM-A"]
    found = check(load_recipe(write_science(tmp_path), options), Reporter.silent())
    assert found.problems == ()
    assert found.notes == (
        "the method multimodal-cot does not read the section student",
        "answer.format QCM-A does not read what the section rationale writes",
    )


@pytest.mark.parametrize("form", ["QCM-A", pytest.param("QCM-RA", marks=pytest.mark.slow), "QCM-AR"])
def test_one_model_alone_on_text_alone(tmp_path: Path, form: str) -> None:
    recipe = write_science(tmp_path, features=None, rationale=None)
    stages = [outcome.stage for outcome in go(recipe, f"answer.format={form}")]
    assert stages == ["dataset", "answer", "evaluate", "report"]
    predictor = open_predictor(tmp_path / "run")
    found = predictor.predict([Post(text="Which?", choices=("a", "b"))])[0]
    assert isinstance(found, Prediction)
    assert bool(found.probabilities) == (form == "QCM-A")
    assert (found.chain is None) == (form == "QCM-A")


@pytest.mark.parametrize(("form", "room"), [("QCM-RA", 512), ("QCM-AR", 512)])
def test_formats_with_a_rationale_have_room_for_it(tmp_path: Path, form: str, room: int) -> None:
    plain = {"format": form, "backbone": {"model": "tiny"}}
    stage = load_recipe(write_science(tmp_path, rationale=None, answer=plain)).recipe.answer
    assert stage is not None
    assert (stage.backbone.max_target, stage.decoding.max_tokens) == (room, room)
    own = {**plain, "backbone": {"model": "tiny", "max_target": 96}, "decoding": {"max_tokens": 80}}
    stage = load_recipe(write_science(tmp_path, rationale=None, answer=own)).recipe.answer
    assert stage is not None
    assert (stage.backbone.max_target, stage.decoding.max_tokens) == (96, 80)


def test_an_answer_model_without_rationales_to_read_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="QCMG-A"):
        go(write_science(tmp_path, rationale=None))


def test_the_section_evaluate_is_read_as_the_method_means_it(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"evaluate\.models: unknown key.*gener") as found:
        go(write_science(tmp_path, evaluate={"models": ["student"], "generates": True}))
    assert "Did you mean 'generate'?" in str(found.value)
    assert "faithfulness" not in str(found.value)


def test_adapters_of_a_t5_need_the_names_of_its_layers(tmp_path: Path) -> None:
    answer = {"backbone": {"model": "tiny", "lora": {"rank": 4}}}
    (problem,) = check(load_recipe(write_science(tmp_path, answer=answer)), Reporter.silent()).problems
    assert "answer: lora.modules" in problem
    answer["backbone"]["lora"]["modules"] = ["q", "v"]  # type: ignore[index]
    assert check(load_recipe(write_science(tmp_path, answer=answer)), Reporter.silent()).problems == ()


def test_scores_have_groups_written_answers_and_what_rationales_say(science: Path) -> None:
    found = scores(science)["sets"]["test"]
    assert set(found["models"]) == {
        "majority", "answer", "text_only", "generated", "no_rationale", "gold_rationale"
    }  # fmt: skip
    own = found["questions"]["answer"]
    assert own["groups"]["AVG"]["examples"] == QUESTIONS["test"]
    assert own["groups"]["AVG"]["accuracy"] == found["models"]["answer"]["labels"]["accuracy"]
    assert own["groups"]["IMG"]["examples"] + own["groups"]["NO"]["examples"] <= QUESTIONS["test"]
    assert sum(own["errors"].values()) == round(QUESTIONS["test"] * (1 - own["groups"]["AVG"]["accuracy"]))
    assert found["questions"]["generated"]["written"]["unparsed"] >= 0
    assert found["models"]["answer"]["references"] == "human"
    assert set(found["models"]["answer"]["overlap"]) == {"multimodal_cot", "standard"}
    assert found["models"]["gold_rationale"]["overlap"] == {}, "it was given them"
    assert scores(science)["published"] == []


def test_other_questions_are_evaluated_without_training_on_them(science: Path, tmp_path: Path) -> None:
    recipe = copy_run(science, tmp_path, without=("6-evaluate", "7-report"))
    other = 'evaluate.others={"strange": {"name": "synthetic_science", "train": 0, "dev": 0, "test": 3, "seed": 9}}'
    options = ("rationale.folds=2", other, 'evaluate.baselines=["text_only"]', "evaluate.generate=false")
    go(recipe, *options, first="evaluate", last="evaluate")
    assert scores(tmp_path)["sets"]["strange"]["questions"]["answer"]["groups"]["AVG"]["examples"] == 3


def test_equal_ids_in_another_dataset_are_other_questions(science: Path, tmp_path: Path) -> None:
    """People number their rows from 1, whatever the file."""
    recipe = copy_run(science, tmp_path, without=("6-evaluate", "7-report"))
    path = tmp_path / "run/1-dataset/examples.jsonl"
    own = next(example for example in read_lines(path, Example) if example.split == "test")
    row = {"id": own.id, "question": "Another one?", "choices": ["x", "y"], "answer": "B", "solution": "Because of y."}
    rows = [{**row, "split": "test"}, {"id": "z", "question": "None?", "choices": [], "answer": "A", "split": "test"}]
    (tmp_path / "other.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    other = {"name": "files", "path": str(tmp_path / "other.jsonl"), "columns": COLUMNS}
    options = ("rationale.folds=2", f"evaluate.others={json.dumps({'other': other})}", "evaluate.generate=false")
    go(recipe, *options, first="evaluate", last="report")
    folder = tmp_path / "run/6-evaluate"
    (gold,) = read_lines(folder / "predictions/other/gold_rationale.jsonl", Prediction)
    assert (gold.id, gold.chain) == (own.id, "Because of y.")
    found = scores(tmp_path)["sets"]["other"]
    assert (found["examples"], sum(found["rejected"].values())) == (1, 1)
    assert len((folder / "sets/other/rejected.jsonl").read_text("utf-8").splitlines()) == 1
    cases = draw_cases(read_run(tmp_path / "run"), 40, 0).cases
    assert {case.example.text for case in cases if case.set == "other"} == {"Another one?"}
    assert "Another one?" in (tmp_path / "run/7-report/report.html").read_text("utf-8")


def test_captions_that_nobody_wrote_are_missed_before_and_during_the_run(tmp_path: Path) -> None:
    row = {"question": "Which?", "choices": ["x", "y"], "answer": "B", "solution": "Because of y."}
    rows = [
        {**row, "id": str(n), "answer": "AB"[n % 2], "split": split}
        for n, split in enumerate(("train", "train", "dev", "test"))
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    dataset = {"name": "files", "path": str(tmp_path / "q.jsonl"), "columns": COLUMNS}
    recipe = write_science(tmp_path, dataset=dataset, task={"name": "multiple_choice"}, features=None)
    (problem,) = check(load_recipe(recipe, ["answer.captions=true"]), Reporter.silent()).problems
    assert problem.startswith("answer: captions: true, but no example has a caption")
    with pytest.raises(NothingUsable, match="no example has a caption"):
        go(recipe, "rationale.captions=true", last="rationale")
    with pytest.raises(NothingUsable, match="no example has a caption"):
        go(recipe, "answer.captions=true", last="answer")


@pytest.mark.parametrize(
    ("stage", "place", "hint"),
    [
        ("features", "3-features", "features.batch_size"),
        ("rationale", "4-rationale", "rationale.watch.batch_size"),
        ("evaluate", "6-evaluate", "evaluate.batch_size"),
    ],
)
def test_full_memory_names_the_setting(
    science: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, place: str, hint: str
) -> None:
    def full(*args: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    recipe = copy_run(science, tmp_path, without=(place,) if stage != "rationale" else ("explained*",))
    (tmp_path / "run" / place / "stage.json").unlink(missing_ok=True)
    monkeypatch.setattr(*((RationaleStage, "_lines") if stage == "rationale" else (T5Runner, "write")), full)
    monkeypatch.setattr(LoadedExtractor, "extract", full)
    with pytest.raises(TrainingError, match="out of memory") as found:
        go(recipe, "rationale.folds=2", first=stage, last=stage)
    assert hint in found.value.hint


def evaluate_again(recipe: Path, *changes: str) -> None:
    go(recipe, "rationale.folds=2", "evaluate.baselines=[]", *changes, first="evaluate", last="evaluate")


def test_an_evaluation_writes_into_its_own_folder_alone(science: Path, tmp_path: Path) -> None:
    recipe = copy_run(science, tmp_path, without=("6-evaluate", "7-report"))

    def files() -> dict[str, str]:
        stages = (path for path in (tmp_path / "run").glob("[1-5]-*/**/*") if path.is_file())
        return {str(path): file_hash(path) for path in stages}

    before = files()
    evaluate_again(recipe)
    assert files() == before


def test_the_fitted_temperature_travels_with_both_models(
    science: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = copy_run(science, tmp_path)
    run = tmp_path / "run"
    fitted = json.loads((run / "6-evaluate/fitted/5-answer/calibration.json").read_text())["temperature"]
    assert fitted != 1
    assert open_predictor(run).temperature == fitted
    (run / "5-answer/model/calibration.json").write_text('{"temperature": 3.0}')  # of an earlier evaluation
    export_model(run, "merged", tmp_path / "exported")
    assert open_predictor(tmp_path / "exported").temperature == fitted
    evaluate_again(recipe, "evaluate.calibrate=false")
    assert open_predictor(run).temperature == 1, "no longer wanted"
    assert not caplog.records
    (run / "4-rationale/model/generation_config.json").write_text("{}")
    assert open_predictor(run).temperature == 1
    assert "the stage rationale is another one than was evaluated" in caplog.text


@pytest.mark.parametrize("name", ["mmmu", "aokvqa"])
def test_benchmarks_are_evaluated_without_training_on_them(science: Path, tmp_path: Path, name: str) -> None:
    root = tmp_path / "data"
    root.mkdir()
    datasets.get(name).demo(root)
    recipe = copy_run(science, tmp_path, without=("6-evaluate", "7-report"))
    other = f"evaluate.others={json.dumps({name: {'name': name, 'root': str(root)}})}"
    options = ("rationale.folds=2", other, "evaluate.baselines=[]", "evaluate.generate=false", "evaluate.limit=2")
    go(recipe, *options, first="evaluate", last="evaluate")
    found = scores(tmp_path)["sets"][name]
    assert 0 < found["questions"]["answer"]["groups"]["AVG"]["examples"] <= 2
    assert found["models"]["answer"]["rejected"] == {}


def test_the_published_mix_of_lecture_and_explanation_is_a_switch(science: Path, tmp_path: Path) -> None:
    recipe = copy_run(science, tmp_path, without=("5-answer", "6-evaluate"))
    path = tmp_path / "run/1-dataset/examples.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert any(row["meta"].get("lecture") for row in rows)
    go(recipe, "rationale.folds=2", "answer.published_mix=true", first="answer", last="answer")
    assert hashes(tmp_path / "run/5-answer") != hashes(science / "run/5-answer")


def test_a_run_that_was_moved_still_answers(science: Path, tmp_path: Path) -> None:
    copy_run(science, tmp_path)
    predictor = open_predictor(tmp_path / "run")
    assert isinstance(predictor, TwoStagePredictor)
    posts = [
        Post(text="One?", choices=("only",)),
        Post(text="Which of twelve?", choices=tuple("abcdefghijkl"), context="A hint."),
        Post(text="None?"),
    ]
    one, twelve, none = predictor.predict(posts)
    assert isinstance(one, Prediction)
    assert (one.label, one.probabilities) == ("A", {"A": 1.0})
    assert isinstance(twelve, Prediction)
    assert len(twelve.probabilities) == 12
    assert sum(twelve.probabilities.values()) == pytest.approx(1)
    assert twelve.chain == "".join(predictor.stream(posts[1]))
    assert isinstance(none, Rejected)
    assert none.reason == "choice_count"


def test_a_picture_seen_on_the_fly_has_the_features_of_the_stage(science: Path) -> None:
    lines = (science / "run/6-evaluate/predictions/test/answer.jsonl").read_text("utf-8").splitlines()
    kept = {line["id"]: line for line in map(json.loads, lines)}
    examples = read_lines(science / "run/1-dataset/examples.jsonl", Example)
    shown = [example for example in examples if example.id in kept and example.images]
    predictor = open_predictor(science / "run", decoding=Decoding(max_tokens=24))
    assert shown
    post = Post(text=shown[0].text, choices=shown[0].choices, context=shown[0].context,
                image=science / "run/1-dataset/pictures" / shown[0].images[0].path)  # fmt: skip
    (found,) = predictor.predict([post])
    assert isinstance(found, Prediction)
    (blind,) = predictor.predict([Post(text=post.text, choices=post.choices, context=post.context)])
    assert isinstance(blind, Prediction)
    before = kept[shown[0].id]["logprobs"]
    assert dict(found.logprobs) == pytest.approx(before, abs=0.02)
    assert dict(blind.logprobs) != pytest.approx(before, abs=0.02)


def test_the_model_that_explains_does_not_answer_alone(science: Path, tmp_path: Path) -> None:
    with pytest.raises(MulcotError, match="does not answer alone"):
        open_predictor(science / "run/4-rationale")
    recipe = copy_run(science, tmp_path, without=("4-rationale",))
    assert recipe.exists()
    with pytest.raises(MulcotError, match="rationale model"):
        open_predictor(tmp_path / "run")
    assert find_model(science / "run") == science / "run/5-answer/model"


@pytest.mark.parametrize("name", ["scienceqa_base", "scienceqa_large", "aokvqa_base", "aokvqa_large"])
def test_published_recipes_pass_the_check_where_the_data_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data = tmp_path / name.partition("_")[0]
    data.mkdir()
    datasets.get(data.name).demo(data)
    monkeypatch.setenv("DATA", str(tmp_path))
    loaded = load_recipe(RECIPES / f"{name}.yaml", [f"output={tmp_path / 'run'}"])
    assert check(loaded, Reporter.silent()).problems == ()
    recipe = loaded.recipe
    assert recipe.rationale is not None
    assert recipe.answer is not None
    base = name.endswith("base")
    for stage, batch, target in ((recipe.rationale, 8, 512), (recipe.answer, 8 if base else 16, 64)):
        training, backbone = stage.training, stage.backbone
        assert training.learning_rate == (8e-5 if base else 5e-5)
        assert (training.epochs, training.batch_size) == (20 if base else 50, batch)
        assert (training.weight_decay, training.clip, training.schedule.kind) == (0.01, 1.0, "linear")
        assert (backbone.max_source, backbone.max_target, backbone.dtype) == (512, target, "fp32")
        assert backbone.model == f"declare-lab/flan-alpaca-{'base' if base else 'large'}"
        assert backbone.lora is None
        assert stage.captions == name.startswith("scienceqa")
    assert (recipe.rationale.format, recipe.answer.format) == ("QCM-E", "QCMG-A")
    assert recipe.seed == 42
    monkeypatch.setenv("MODEL", "/nowhere/flan")
    problems = check(load_recipe(RECIPES / f"{name}.yaml"), Reporter.silent()).problems
    assert [problem for problem in problems if "there is no model folder /nowhere/flan" in problem]
