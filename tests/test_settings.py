"""A section that is written in part keeps the rest of its field's default."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from mulcot.settings import Settings
from mulcot.stages.annotate import AnnotateStage
from mulcot.stages.answer import AnswerStage
from mulcot.stages.rationale import RationaleStage
from mulcot.stages.shared_t5_training import PUBLISHED


class Slow(Settings):
    kind: Literal["slow"] = "slow"
    pace: int = 1
    rest: int = 0


class Quick(Settings):
    kind: Literal["quick"] = "quick"
    pace: int = 9


class Walk(Settings):
    steps: int = 10
    length: float = Field(default=1.0, alias="stride")
    manner: Annotated[Slow | Quick, Field(discriminator="kind")] = Slow()


class Day(Settings):
    walk: Walk = Walk(steps=500, stride=0.5, manner=Slow(rest=3))


@pytest.mark.parametrize(
    ("written", "walk"),
    [
        ({}, (500, 0.5, Slow(rest=3))),
        ({"steps": 2}, (2, 0.5, Slow(rest=3))),
        ({"stride": 2}, (500, 2.0, Slow(rest=3))),
        ({"manner": {"pace": 4}}, (500, 0.5, Slow(pace=4, rest=3))),
        ({"manner": {"kind": "slow", "pace": 4}}, (500, 0.5, Slow(pace=4, rest=3))),
        ({"manner": {"kind": "quick"}}, (500, 0.5, Quick())),
    ],
)
def test_what_is_not_written_stays(written: dict[str, object], walk: tuple[object, ...]) -> None:
    found = Day.model_validate({"walk": written}).walk
    assert (found.steps, found.length, found.manner) == walk


def test_unknown_keys_are_refused_at_any_depth() -> None:
    with pytest.raises(ValidationError) as refused:
        Day.model_validate({"walk": {"manner": {"pase": 4}}})
    assert refused.value.errors()[0]["loc"] == ("walk", "manner", "slow", "pase")


def test_one_changed_option_leaves_the_published_settings_alone() -> None:
    stage = RationaleStage.model_validate({"training": {"epochs": 5}})
    assert stage.training == PUBLISHED.model_copy(update={"epochs": 5.0})
    answer = AnswerStage.model_validate({"backbone": {"model": "tiny"}, "decoding": {"temperature": 0}})
    assert (answer.backbone.max_target, answer.decoding.max_tokens) == (64, 64)
    sampled = AnnotateStage.model_validate({"decoding": {"max_tokens": 9}}).decoding
    assert (sampled.temperature, sampled.max_tokens) == (0.7, 9)
