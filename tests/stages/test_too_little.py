"""What stages say and do where too little came out of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import make_job, write_posts

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.data_requirements import data_lacking
from mulcot.datasets.statistics import Lengths, SplitStatistics
from mulcot.errors import NothingUsable
from mulcot.multimodal_cot.dev_evaluation import RationaleEvaluator
from mulcot.records import Example
from mulcot.stages.base import Job
from mulcot.stages.evaluate import EvaluateStage
from mulcot.stages.shared_captions import Caption, _judge_captions
from mulcot.stages.shared_training import warn_of_one_answer
from mulcot.stages.student import StudentStage
from mulcot.stages.teacher import TeacherStage
from mulcot.teacher.labelling.yields import Yield


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return make_job(tmp_path / "run", write_posts(tmp_path / "data", 3))


def labelled(*labels: str) -> list[Example]:
    return [Example(id=f"e{number}", split="dev", text="t", label=label) for number, label in enumerate(labels)]


def test_a_model_that_is_no_better_than_one_answer_to_everything_is_told(job: Job) -> None:
    dev = labelled("a", "a", "b", "c")
    warn_of_one_answer(job, "assistant", 0.75, dev, [])
    assert not job.warnings
    warn_of_one_answer(job, "assistant", 0.5, dev, [])
    assert (
        "the assistant model is right on 50.0% of 4 dev examples at best, and always answering 'a' on"
        in job.warnings[0]
    )


def test_without_dev_it_is_told_that_training_examples_decided(job: Job) -> None:
    warn_of_one_answer(job, "student", 0.9, [], labelled("a", "b"))
    assert job.warnings == [
        "there is no labelled dev example: training examples decided which state of the student model is best"
    ]


def test_rationales_are_measured_by_those_of_other_questions() -> None:
    def judge(*references: str) -> RationaleEvaluator:
        unused: Any = None
        return RationaleEvaluator(unused, [unused] * len(references), references, Decoding())

    assert judge("cats sleep at night", "cats sleep at night").floor() == 1
    assert judge("cats sleep at night", "dogs bark").floor() == 0
    assert judge("alone").floor() is None


def test_no_caption_at_all_is_no_result_and_few_are_told(job: Job) -> None:
    bad = [Caption(picture=f"p{number}", text="", problem="refused") for number in range(3)]
    good = [Caption(picture="g", text="a dog")]
    with pytest.raises(NothingUsable, match="3 of 3 pictures have no caption: refused 3"):
        _judge_captions(job, bad)
    _judge_captions(job, [*bad, *good])
    assert job.warnings == ["3 of 4 pictures have no caption: refused 3"]
    _judge_captions(job, [*bad[:1], *good])
    assert len(job.warnings) == 1


def test_whoever_answered_nothing_is_told_and_the_final_model_must_answer(job: Job) -> None:
    def scores(answered: int) -> Any:
        return SimpleNamespace(answered=answered, rejected={"picture": 5 - answered})

    stage = EvaluateStage()
    sets: Any = {"test": SimpleNamespace(examples=5, models={"student": scores(1), "text_only": scores(0)})}
    stage.judge_answers(job, sets, "student")
    assert job.warnings == ["text_only answered none of 5 examples of test: picture 5"]
    sets["test"].models["student"] = scores(0)
    with pytest.raises(NothingUsable, match="student answered none of 5 examples of test"):
        stage.judge_answers(job, sets, "student")


def test_a_teacher_that_is_not_asked_about_train_leaves_nothing_to_learn_from() -> None:
    none = {"images": 4, "without_image": 0, "aspects": 0, "captions": 0, "rationales": 0, "duplicates": {}}
    split = SplitStatistics(count=4, labels={"a": 2, "b": 2}, text_length=Lengths(), text_words=Lengths(), **none)
    stages: dict[str, Any] = {"student": StudentStage()}
    for splits, lacks in ((("train", "dev"), []), (("dev",), ["student"])):
        stages["teacher"] = TeacherStage.model_validate({"backend": "simulated", "splits": splits})
        assert [lack.stage for lack in data_lacking(stages, ("student",), {"train": split})] == lacks


def test_the_few_that_people_left_unexplained_do_not_end_a_run(job: Job) -> None:
    few = Yield()
    for reason in [None, *["filtered"] * 9]:
        few.add(reason)
    stage = TeacherStage.model_validate({"backend": "simulated", "only_unexplained": True})
    stage._judge_yield(job, few)
    assert "1 of 10 training examples without a rationale" in job.warnings[0]
    with pytest.raises(NothingUsable, match="1 of 10 training examples"):
        stage.model_copy(update={"only_unexplained": False})._judge_yield(job, few)
