from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mulcot.errors import MulcotError
from mulcot.records import Example
from mulcot.tasks.base import Purpose, Task, tasks
from mulcot.tasks.classification import Classification
from mulcot.tasks.saved_task import SavedTask, load_task, save_task
from mulcot.tasks.sentiment import Sentiment
from mulcot.text import Cleaning

POST = Example(id="p", split="test", text="what {a} day", aspect="day", choices=("one", "two"))


def every_task() -> list[Task]:
    labels = {"yes": 'says "yes": gladly', "no": "says no"}
    return [cls(labels=labels) if cls is Classification else cls() for cls in tasks]


@pytest.mark.parametrize("task", every_task(), ids=lambda task: task.name)
def test_a_task_comes_back_with_the_same_identity_and_prompts(task: Task, tmp_path: Path) -> None:
    save_task(SavedTask(task, Cleaning(emoji="words")), tmp_path)
    loaded = load_task(tmp_path)
    assert loaded.task.identity() == task.identity()
    assert loaded.cleaning == Cleaning(emoji="words")
    for purpose in (Purpose.CHAIN, Purpose.LABEL, Purpose.TEACH):
        assert loaded.task.prompt(POST, purpose) == task.prompt(POST, purpose)


def test_a_moved_folder_keeps_a_users_templates_though_their_file_is_gone(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("label_ask: |\n  Nur das Gef\u00fchl: {{labels}} \u2192 {labels}\n", "utf-8")
    task = Sentiment(templates=str(own))
    save_task(SavedTask(task), tmp_path)
    own.unlink()
    (tmp_path / "far").mkdir()
    for name in ("task.json", "templates.yaml"):
        shutil.move(tmp_path / name, tmp_path / "far" / name)
    loaded = load_task(tmp_path / "far").task
    assert loaded.prompt(POST, Purpose.LABEL).ask.startswith("Nur das Gef\u00fchl: {labels} \u2192 positive")
    assert loaded.identity() == task.identity()


def test_the_texts_of_a_model_outlive_a_change_of_the_built_in_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Sentiment().prompt(POST, Purpose.LABEL)
    save_task(SavedTask(Sentiment()), tmp_path)
    import dataclasses

    monkeypatch.setattr(Sentiment, "built_in", dataclasses.replace(Sentiment.built_in, label_ask="Say it."))
    assert Sentiment().prompt(POST, Purpose.LABEL) != before
    assert load_task(tmp_path).task.prompt(POST, Purpose.LABEL) == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "has no task.json"),
        ("{", "cannot be read"),
        ("[]", "does not describe a task"),
        (json.dumps({"format": 99, "task": {"name": "sentiment"}}), "later version"),
        (json.dumps({"task": {"name": "sentiment", "odd": 1}}), "odd: "),
        (json.dumps({"task": {"name": "sentimental"}}), "Did you mean 'sentiment'"),
    ],
)
def test_a_folder_that_does_not_say_its_task_is_refused_clearly(content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "task.json").write_text(content)
    with pytest.raises(MulcotError) as caught:
        load_task(tmp_path)
    assert said in str(caught.value)
