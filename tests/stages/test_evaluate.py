from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.network import Network
from mulcot.datasets.synthetic import Synthetic
from mulcot.errors import MulcotError, NothingUsable, TrainingError
from mulcot.evaluation import faithfulness
from mulcot.evaluation.ask_model import EvaluationSet
from mulcot.evaluation.scores import Scores
from mulcot.export.model import export_model
from mulcot.predict.prediction import with_chain
from mulcot.predict.predictor import JointPredictor
from mulcot.progress import Reporter
from mulcot.records import Example, Prediction, Rationale, read_lines
from mulcot.rundir import RunFolder, StageFolder, StageRecord, file_hash
from mulcot.stages.base import Job
from mulcot.stages.dataset import DatasetStage
from mulcot.stages.evaluate import EvaluateStage
from mulcot.tasks.saved_task import SavedTask, save_task
from mulcot.tasks.sentiment import Sentiment
from mulcot.world.chains import write_chain
from mulcot.world.truth import Truth

torch.set_num_threads(1)
NAMES = ("dataset", "teacher", "assistant", "annotate", "student", "evaluate")
QUICK: dict[str, Any] = {"decoding": Decoding(max_tokens=3), "similarity": False, "faithfulness": 2, "batch_size": 4}


def stages_of(folder: Path) -> dict[str, StageFolder]:
    return {name: RunFolder(folder).stage(number, name) for number, name in enumerate(NAMES, 1)}


@pytest.fixture
def job(prepared: Job, tmp_path: Path) -> Job:
    """A run up to its student, with tiny models that have learnt nothing."""
    shutil.copytree(prepared.folder.path.parent, tmp_path / "run")
    stages = stages_of(tmp_path / "run")
    return Job(**{**_fields(prepared), "folder": stages["evaluate"], "before": stages})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """What each `job` is a copy of."""
    folder = tmp_path_factory.mktemp("prepared")
    stages = stages_of(folder / "run")
    for stage in stages.values():
        stage.path.mkdir(parents=True)
    small = Synthetic(train=6, dev=3, test=5, hard=3)
    made = Job(folder=stages["evaluate"], before=stages, task=Sentiment(), dataset=small,
               seed=0, reporter=Reporter.silent())  # fmt: skip
    DatasetStage(source=made.dataset).run(Job(**{**_fields(made), "folder": stages["dataset"]}))
    with (stages["teacher"] / "rationales.jsonl").open("w") as file:
        for example in read_lines(stages["dataset"] / "examples.jsonl", Example):
            if example.split == "train":
                fields = write_chain(Truth.from_json(example.truth or {}), 0)
                chain = Rationale(
                    example_id=example.id, source="teacher", stage=1, fields=fields, prediction=example.label
                )
                file.write(chain.to_line())
    (stages["teacher"] / "failures.jsonl").touch()
    model = QwenVL.demo(folder / "base").load()
    for name in ("assistant", "student"):
        model.save(stages[name] / "model")
        save_task(SavedTask(Sentiment()), stages[name] / "model")
    return made


def _fields(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in ("folder", "before", "task", "dataset", "seed", "reporter")}


def scores(job: Job) -> Scores:
    return Scores.model_validate_json((job.folder / "scores.json").read_text("utf-8"))


def test_everyone_is_scored_on_the_same_examples(job: Job) -> None:
    counts = EvaluateStage(**QUICK).run(job)
    found = scores(job)
    assert set(found.sets) == {"test", "hard"}
    test = found.sets["test"]
    assert set(test.models) == {"majority", "assistant", "student", "text_only", "image_only"}
    assert counts["student_test"] == round(test.models["student"].labels.accuracy, 4)
    assert {one.second for one in test.comparisons} == set(test.models) - {"student"}
    student = test.models["student"]
    assert student.references == "world"
    assert set(student.overlap) == {"paper", "standard"}
    floor = student.overlap["paper"]["floor"]
    assert floor["bleu"] > student.overlap["paper"]["bleu"], "another post's chain beats a model that learnt nothing"
    assert student.grounding is not None
    assert len(student.calibration) == 2
    assert student.chains.cut == 5
    assert test.models["text_only"].chains is None


def asked_about(job: Job, split: str) -> list[Example]:
    """The teacher is asked about a split too; its chains are there, its answers not yet."""
    examples = [e for e in read_lines(job.before["dataset"] / "examples.jsonl", Example) if e.split == split]
    with (job.before["teacher"] / "rationales.jsonl").open("a") as file:
        for number, example in enumerate(examples):
            fields = write_chain(Truth.from_json(example.truth or {}), 0)
            chain = Rationale(example_id=example.id, source="teacher", stage=1 if number else 2, fields=fields,
                              prediction=example.label)  # fmt: skip
            file.write(chain.to_line())
    return examples


def test_the_teacher_is_scored_by_what_it_answered_and_its_answers_are_kept(job: Job) -> None:
    examples = asked_about(job, "test")
    labels = [example.label or "" for example in examples]
    wrong = next(label for label in Sentiment().labels() if label != labels[0])
    with (job.before["teacher"] / "answers.jsonl").open("w") as file:
        for example, label in zip(examples, [wrong, *labels[1:]], strict=True):
            file.write(Prediction(id=example.id, label=label, chain="", chain_label=label).to_line())
    EvaluateStage(**QUICK, models=("teacher", "student"), baselines=()).run(job)
    test = scores(job).sets["test"]
    teacher = test.models["teacher"].labels
    assert (teacher.accuracy, teacher.unparsed) == (pytest.approx(0.8), 0)
    assert {one.label: one.precision for one in teacher.per_label}[wrong] < 1
    lines = (job.folder / "predictions/test/teacher.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [example.id for example in examples]
    assert "teacher" not in scores(job).sets["hard"].models
    assert scores(job).notes == []


def test_where_its_answers_were_not_kept_the_teacher_gets_no_scores_but_a_note(job: Job) -> None:
    asked_about(job, "test")
    EvaluateStage(**QUICK, models=("teacher", "student"), baselines=()).run(job)
    assert "teacher" not in scores(job).sets["test"].models
    (note,) = scores(job).notes
    assert "not scored" in note and "at least 4 of 5 labels" in note


def test_predictions_are_kept_per_model_and_set_in_order(job: Job) -> None:
    EvaluateStage(**QUICK).run(job)
    examples = [e.id for e in read_lines(job.before["dataset"] / "examples.jsonl", Example) if e.split == "test"]
    for name in ("assistant", "student", "text_only", "image_only"):
        lines = (job.folder / f"predictions/test/{name}.jsonl").read_text("utf-8").splitlines()
        assert [json.loads(line)["id"] for line in lines] == examples


def test_an_interrupted_stage_is_continued_to_the_same_scores(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = EvaluateStage(**{**QUICK, "batch_size": 1})
    stage.run(job)
    whole = (job.folder / "scores.json").read_bytes()
    (job.folder / "scores.json").unlink()
    path = job.folder / "predictions/test/student.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    asked = []
    predict = JointPredictor.predict
    monkeypatch.setattr(
        JointPredictor,
        "predict",
        lambda self, items, *a, **k: asked.append(len(items)) or predict(self, items, *a, **k),
    )
    stage.run(job)
    assert (job.folder / "scores.json").read_bytes() == whole
    assert asked == [1], "of 5 examples in portions of 4, the last one was cut off"


def test_a_smaller_batch_continues_what_was_begun(job: Job) -> None:
    """The advice where memory is full."""
    EvaluateStage(**QUICK).run(job)
    path = job.folder / "predictions/test/student.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    EvaluateStage(**{**QUICK, "batch_size": 1}).run(job)
    assert len(path.read_text("utf-8").splitlines()) == scores(job).sets["test"].examples
    path.with_name(f"{path.name}.made.json").write_text("{}")
    with pytest.raises(MulcotError, match="made with another model") as refused:
        EvaluateStage(**QUICK).run(job)
    assert "run the same command again" in refused.value.hint


def test_a_missing_picture_is_a_miss_and_does_not_stop_the_others(job: Job) -> None:
    example = next(e for e in read_lines(job.before["dataset"] / "examples.jsonl", Example) if e.split == "test")
    (job.before["dataset"] / "pictures" / example.images[0].path).unlink()
    EvaluateStage(**QUICK, splits=("test",), models=("student",)).run(job)
    student = scores(job).sets["test"].models["student"]
    assert student.rejected == {"missing_image": 1}
    assert student.answered == 4
    assert student.labels.unparsed == 1


def files(run: Path) -> dict[str, str]:
    """Everything in a run outside the evaluation."""
    paths = (path for path in run.rglob("*") if path.is_file() and "6-evaluate" not in path.parts)
    return {str(path): file_hash(path) for path in paths}


def finish(job: Job) -> float:
    """Evaluates the student as a run does, and returns the fitted temperature."""
    run = job.folder.path.parent
    (run / "recipe.yaml").touch()
    student = job.before["student"]
    student.finish(StageRecord(stage="student", fingerprint="", outputs=student.outputs({})))
    EvaluateStage(**QUICK, models=("student",), splits=("test",)).run(job)
    job.folder.finish(StageRecord(stage="evaluate", fingerprint="", inputs={"student": student.content()}))
    fitted = scores(job).sets["test"].models["student"].calibration[1].temperature
    assert fitted != 1
    return fitted


def test_an_evaluation_writes_into_its_own_folder_alone(job: Job) -> None:
    run = job.folder.path.parent
    student = job.before["student"]
    shutil.copytree(student / "model", student / "without_distillation" / "model")
    before = files(run)
    EvaluateStage(**QUICK, splits=("test",)).run(job)
    assert files(run) == before
    kept = sorted(str(path.relative_to(job.folder / "fitted")) for path in (job.folder / "fitted").rglob("*.json"))
    names = ("3-assistant", "5-student", "5-student/without_distillation")
    assert kept == [f"{name}/calibration.json" for name in names]


def test_the_fitted_temperature_is_used_wherever_the_model_is_opened(job: Job, tmp_path: Path) -> None:
    fitted = finish(job)
    run = job.folder.path.parent
    (tmp_path / "link").symlink_to(run / "5-student" / "model")
    for path in (run, run / "5-student", run / "5-student/model", run / "6-evaluate/../5-student", tmp_path / "link"):
        assert JointPredictor.load(path).temperature == fitted
    export_model(run, "merged", tmp_path / "exported")
    assert JointPredictor.load(tmp_path / "exported").temperature == fitted
    assert JointPredictor.load(run / "3-assistant").temperature == 1


def test_a_temperature_of_other_weights_is_not_used(job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    finish(job)
    run, weights = job.folder.path.parent, job.before["student"] / "model/adapter_model.safetensors"
    save_file({name: tensor + 0.5 for name, tensor in load_file(weights).items()}, weights)
    assert JointPredictor.load(run).temperature == 1
    assert "calibration.json is not used: the stage student is another one than was evaluated" in caplog.text
    export_model(run, "merged", tmp_path / "exported")
    assert not (tmp_path / "exported/calibration.json").exists()
    (job.before["student"] / "stage.json").unlink()
    assert JointPredictor.load(run / "5-student").temperature == 1, "it is being trained anew"
    assert "5-student is not finished" in caplog.text


def test_a_temperature_beside_the_model_is_read_as_ever(job: Job, tmp_path: Path) -> None:
    """As runs before this had it, and as exported models have it."""
    finish(job)
    run, model = job.folder.path.parent, job.before["student"] / "model"
    (model / "calibration.json").write_text('{"temperature": 3.0}')
    assert JointPredictor.load(run).temperature != 3, "the evaluation is the newer one"
    export_model(run, "merged", tmp_path / "newer")
    assert JointPredictor.load(tmp_path / "newer").temperature != 3
    shutil.rmtree(job.folder / "fitted")
    assert JointPredictor.load(run).temperature == 3
    export_model(run, "merged", tmp_path / "older")
    assert JointPredictor.load(tmp_path / "older").temperature == 3


def test_the_student_is_compared_with_its_backbone_without_distillation_where_there_is_one(job: Job) -> None:
    student = job.before["student"]
    shutil.copytree(student / "model", student / "without_distillation" / "model")
    EvaluateStage(**QUICK, splits=("test",), models=("student",), baselines=("without_distillation",)).run(job)
    test = scores(job).sets["test"]
    assert set(test.models) == {"student", "without_distillation"}
    assert [(one.first, one.second) for one in test.comparisons] == [("student", "without_distillation")]
    assert test.models["without_distillation"].chains is None
    assert len(test.models["without_distillation"].calibration) == 2


def test_the_published_protocol_is_asked_beside_ours(job: Job) -> None:
    EvaluateStage(**QUICK, published_protocol=True, splits=("test",), models=("student",)).run(job)
    generated = scores(job).sets["test"].models["student_generated"]
    assert generated.published_labels is not None
    assert generated.calibration == []


def test_other_datasets_are_sets_of_their_own(job: Job) -> None:
    other = Synthetic(train=0, dev=0, test=3, seed=5)
    EvaluateStage(**QUICK, splits=("test",), models=("assistant",), others={"far": other}).run(job)
    assert scores(job).sets["far"].examples == 3
    with pytest.raises(ValueError, match="cannot name a set"):
        EvaluateStage(others={"../x": other})
    with pytest.raises(NothingUsable, match=r"others\.far has no labelled test example"):
        EvaluateStage(**QUICK, others={"far": Synthetic(train=3, dev=0, test=0)}).run(job)


def test_nothing_to_evaluate_on_is_an_error(job: Job) -> None:
    with pytest.raises(NothingUsable, match="nowhere"):
        EvaluateStage(splits=("nowhere",)).run(job)


def test_a_model_folder_that_is_not_ours_is_refused(job: Job) -> None:
    (job.before["student"] / "model" / "task.json").unlink()
    with pytest.raises(MulcotError, match=r"task\.json"):
        EvaluateStage(**QUICK, models=("student",)).run(job)


def test_faithfulness_is_measured_on_whole_chains(job: Job) -> None:
    predictor = JointPredictor.load(job.before["student"] / "model", decoding=Decoding(max_tokens=3), batch_size=2)
    examples = tuple(e for e in read_lines(job.before["dataset"] / "examples.jsonl", Example) if e.split == "train")
    said = []
    for example in examples:
        chain = predictor.task.write_chain(write_chain(Truth.from_json(example.truth or {}), 0))
        own = Prediction(id=example.id, label=example.label)
        said.append(with_chain(own, chain, predictor.task.read(chain, example), complete=True))
    data = EvaluationSet("train", examples, job.gallery())
    found = faithfulness.measure_faithfulness(predictor, data, said, job.folder / "predictions", Reporter.silent())
    assert found.chain.examples == 6
    assert len(found.chain.after_fields) == 4
    assert all(0 <= share <= 1 for share in found.chain.after_fields)
    assert found.chain.follows_foreign is not None
    assert found.swapped.chains_changed == found.blank.chains_changed == 1
    assert faithfulness.measure_faithfulness(predictor, data, [Prediction(id=e.id) for e in examples], job.folder / "p",
                                Reporter.silent()).chain is None  # fmt: skip


def test_labels_continue_a_chain_where_they_begin_to_differ() -> None:
    example = Example(id="p", split="test", text="x")
    begun, ways = faithfulness.continuations(Sentiment(), example, {"Text_analysis": "Good."}, "Prediction")
    assert begun == '"Text_analysis": "Good."\n"Prediction":'
    assert ways == [' "positive"', ' "neutral"', ' "negative"']
    for way, label in zip(ways, Sentiment().labels(), strict=True):
        assert Sentiment().read(begun + way).prediction == label


def test_full_memory_names_the_setting(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(Network, "forward", full)
    with pytest.raises(TrainingError, match="evaluate: out of memory") as found:
        EvaluateStage(**QUICK).run(job)
    assert found.value.hint == "Lower evaluate.batch_size (now 4)."


def test_a_model_that_says_no_numbers_is_all_misses_and_the_others_are_scored(job: Job) -> None:
    weights = job.before["student"] / "model" / "adapter_model.safetensors"
    save_file({name: torch.full_like(value, torch.nan) for name, value in load_file(weights).items()}, weights)
    EvaluateStage(**QUICK, splits=("test",)).run(job)
    test = scores(job).sets["test"]
    assert test.models["student"].labels.unparsed == 5
    assert test.models["student"].labels.accuracy == 0
    assert test.models["student"].calibration == []
    assert test.models["assistant"].labels.unparsed == 0
    assert "NaN" not in (job.folder / "scores.json").read_text("utf-8")


def test_a_label_that_never_occurs_is_scored_as_nothing(job: Job) -> None:
    examples = job.before["dataset"] / "examples.jsonl"
    kept = [e for e in read_lines(examples, Example) if e.split != "test" or e.label != "neutral"]
    examples.write_text("".join(example.to_line() for example in kept), "utf-8")
    EvaluateStage(**QUICK, splits=("test",), models=("student",)).run(job)
    test = scores(job).sets["test"]
    assert test.labels["neutral"] == 0
    (neutral,) = [one for one in test.models["student"].labels.per_label if one.label == "neutral"]
    assert (neutral.support, neutral.recall, neutral.f1) == (0, 0, 0)
