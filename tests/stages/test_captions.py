"""Captions by a teacher in the stage `features`: each picture once, through stops, for models that read them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from science import write_science
from small import go

from mulcot.datasets.synthetic import Synthetic
from mulcot.errors import NothingUsable, TeacherError
from mulcot.multimodal_cot.model_format import ModelFormat
from mulcot.progress import Reporter
from mulcot.records import Example, Json, read_lines
from mulcot.rundir import StageFolder
from mulcot.stages.base import Job
from mulcot.stages.dataset import DatasetStage
from mulcot.stages.features import FeaturesStage, distinct
from mulcot.stages.shared_captions import Caption, describe_pictures, with_captions
from mulcot.stages.shared_t5_training import all_examples, features_of
from mulcot.tasks.sentiment import Sentiment
from mulcot.teacher.backends.imported import Imported
from mulcot.teacher.backends.simulated import Simulated
from mulcot.teacher.base import CallError, ErrorKind, Finish, Load, Observer, Reply, Request, Session, Teacher, Usage
from mulcot.teacher.labelling.budget import Budget, Prices

DATASET = Synthetic(train=3, dev=1, test=1)


class Scripted(Teacher):
    """Says the same of every picture, or fails; `asked` counts."""

    asked: list[str] = []
    error: str = ""
    after: int = 0
    reply: Reply | None = None

    @property
    def title(self) -> str:
        return "scripted"

    def answers_as(self) -> Json:
        return {"backend": "scripted"}

    def session(self, observer: Observer | None = None) -> AbstractAsyncContextManager[Session]:
        return self._session()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        yield self  # type: ignore[misc]

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request.example_id)
        if self.error and len(self.asked) > self.after:
            raise CallError(ErrorKind(self.error), "no", hint="Try.")
        return self.reply or Reply(text=f"  picture\n{len(self.asked)} ")

    def drain(self) -> None: ...

    def load(self) -> Load:
        return Load()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = Job(folder=StageFolder(tmp_path / "1-dataset"), before={}, task=Sentiment(), dataset=DATASET, seed=0,
              reporter=Reporter.silent())  # fmt: skip
    job.folder.path.mkdir()
    DatasetStage(source=DATASET).run(job)
    (tmp_path / "3-features").mkdir()
    return dataclasses.replace(job, folder=StageFolder(tmp_path / "3-features"), before={"dataset": job.folder})


def examples_in(job: Job) -> list[Example]:
    return list(read_lines(job.before["dataset"] / "examples.jsonl", Example))


def captions_in(job: Job) -> list[Caption]:
    return list(read_lines(job.folder / "captions.jsonl", Caption))


def test_a_teacher_describes_what_is_on_each_picture(job: Job) -> None:
    counts = FeaturesStage(extractor=None, captioner=Simulated()).run(job)
    examples = examples_in(job)
    assert [caption.picture for caption in captions_in(job)] == list(distinct(examples))
    assert counts["captions"] == len(distinct(examples))
    assert counts["without_caption"] == 0
    for example in with_captions(job.folder.path, examples):
        assert example.truth
        main = str(example.truth["scene"]["main"]).replace("_", " ")
        assert example.caption
        assert set(main.split()) & set(example.caption.replace(".", "").replace(",", "").split()), example.caption


def test_what_was_answered_is_never_asked_again(job: Job) -> None:
    pictures = distinct(examples_in(job))
    broken = Scripted(error="unauthorized", after=2)
    with pytest.raises(TeacherError, match="no") as found:
        describe_pictures(job, broken, pictures)
    assert "the same command continues" in found.value.hint
    assert not (job.folder / "captions.jsonl").exists()
    whole = Scripted()
    describe_pictures(job, whole, pictures)
    assert whole.asked == list(pictures)[2:]
    before = (job.folder / "captions.jsonl").read_bytes()
    describe_pictures(job, Scripted(error="unauthorized"), pictures)
    assert (job.folder / "captions.jsonl").read_bytes() == before


def test_a_budget_stops_cleanly_and_raised_it_goes_on(job: Job) -> None:
    pictures = distinct(examples_in(job))
    usage = Usage(prompt=400, completion=100)
    paid = Scripted(reply=Reply(text="a picture", usage=usage))
    prices = Prices(prompt_per_million=10, completion_per_million=20)
    with pytest.raises(TeacherError, match="the budget of features is used up: 2 of 2 requests") as found:
        describe_pictures(job, paid, pictures, Budget(requests=2))
    assert "Raise it under features.budget" in found.value.hint
    assert "the same command continues" in found.value.hint
    assert len(paid.asked) == 2
    counts = describe_pictures(job, paid, pictures, Budget(requests=len(pictures)), prices)
    assert len(paid.asked) == len(pictures) == counts["captions"]
    assert counts["caption_cost"] == pytest.approx(len(pictures) * 0.006)


def test_a_budget_needs_somebody_who_spends_it_and_prices_for_money() -> None:
    with pytest.raises(ValidationError, match="for a captioner"):
        FeaturesStage(budget=Budget(requests=1))
    with pytest.raises(ValidationError, match=r"features\.prices"):
        FeaturesStage(captioner=Simulated(), budget=Budget(money=1))


def test_a_picture_without_caption_keeps_the_reason(job: Job) -> None:
    pictures = distinct(examples_in(job))
    counts = describe_pictures(job, Scripted(error="bad_request", after=2), pictures)
    assert (counts["captions"], counts["without_caption"]) == (2, len(pictures) - 2)
    assert [caption.problem for caption in captions_in(job)] == ["", "", *["bad_request"] * (len(pictures) - 2)]
    assert captions_in(job)[0].text == "picture 1", "on one line"


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply(text="I cannot.", finish=Finish.REFUSED), "refused"),
        (Reply(text="", finish=Finish.FILTERED), "filtered"),
        (Reply(text=" \n", finish=Finish.STOP), "empty"),
    ],
)
def test_a_reply_that_describes_nothing_is_no_caption(job: Job, reply: Reply, problem: str) -> None:
    with pytest.raises(NothingUsable, match=problem):
        describe_pictures(job, Scripted(reply=reply), distinct(examples_in(job)))
    assert {(caption.text, caption.problem) for caption in captions_in(job)} == {("", problem)}
    assert all(example.caption is None for example in all_examples(_after(job)))


def _after(job: Job) -> Job:
    return dataclasses.replace(job, before={**job.before, "features": job.folder})


def test_models_read_them_as_context_and_a_caption_of_its_own_stays(job: Job) -> None:
    describe_pictures(job, Scripted(), distinct(examples_in(job)))
    first = all_examples(_after(job))[0]
    source = ModelFormat(format="QCM-E", captions=True).question(job.task, first).source
    assert "picture 1" in source
    assert "picture 1" not in ModelFormat(format="QCM-E").question(job.task, first).source
    own = dataclasses.replace(first, caption="mine")
    assert with_captions(job.folder.path, [own]) == [own]
    assert features_of(_after(job)) is None


def test_a_recipe_may_have_captions_without_features(tmp_path: Path) -> None:
    dataset = {"name": "synthetic", "train": 2, "dev": 1, "test": 1}
    features: dict[str, Any] = {"extractor": None, "captioner": {"name": "simulated"}}
    recipe = write_science(tmp_path, dataset=dataset, task={"name": "sentiment"}, features=features)
    counts = go(recipe, last="features")[-1].record.counts
    assert counts == {
        "captions": 4,
        "without_caption": 0,
        "caption_tokens": counts["caption_tokens"],
        "without_picture": 0,
    }


def test_a_section_that_would_do_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="needs a captioner"):
        FeaturesStage(extractor=None)
    with pytest.raises(ValidationError, match="describes nothing"):
        FeaturesStage(captioner=Imported(path=tmp_path / "chains.json"))


def test_a_missing_key_is_found_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPTION_KEY", raising=False)
    backend = {
        "name": "openai_compatible",
        "base_url": "http://127.0.0.1:1/v1",
        "model": "m",
        "api_key_env": "CAPTION_KEY",
    }
    stage = FeaturesStage.model_validate({"extractor": None, "captioner": backend})
    (problem,) = stage.problems(Sentiment(), DATASET)
    assert "CAPTION_KEY" in problem
