"""What every registered teacher keeps, whoever wrote it. What it answers is tested with its own file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mulcot.teacher.base import Teacher, teachers

NEEDED = {
    "imported": {"path": Path("chains.json")},
    "openai_compatible": {"model": "m", "base_url": "http://127.0.0.1:1/v1"},
}
"""Options without a default."""


@pytest.fixture(params=teachers.names())
def cls(request: pytest.FixtureRequest) -> type[Teacher]:
    return teachers.get(request.param)


def test_the_class_is_documented_down_to_each_option(cls: type[Teacher]) -> None:
    assert cls.__doc__
    for name, info in cls.model_fields.items():
        assert info.description, f"{cls.name}.{name} is not documented"


def test_who_answers_is_plain_json_and_stays_the_same(cls: type[Teacher]) -> None:
    teacher = cls.model_validate(NEEDED.get(cls.name, {}))
    again = cls.model_validate(teacher.model_dump())
    assert teacher.title
    assert json.dumps(teacher.answers_as(), sort_keys=True) == json.dumps(again.answers_as(), sort_keys=True)
    assert teacher.fingerprint() == again.fingerprint()
    assert teacher.width() >= 1


def test_only_a_made_up_teacher_says_that_it_is_one(cls: type[Teacher]) -> None:
    assert cls.simulated == (cls.name == "simulated")
