from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from mulcot.objectives import DistillationObjective, JointObjective


def test_the_settings_are_readable_without_torch() -> None:
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        "import mulcot.objectives as o\nprint(o.DistillationObjective.model_json_schema()['title'])"
    )
    assert "Distillation" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout


def test_the_defaults_are_the_described_values() -> None:
    objective = DistillationObjective()
    assert (objective.reasoning, objective.label, objective.soft, objective.temperature) == (0.8, 0.2, 0.3, 2.0)
    assert (objective.square_temperature, objective.divergence, objective.soft_tokens) == (True, "forward_kl", "both")
    assert objective.normalise == "update"


def test_the_published_code_differs_where_it_is_said_to() -> None:
    objective = DistillationObjective(preset="published_code")
    assert (objective.reasoning, objective.label, objective.soft) == (1.0, 1.0, 0.3)
    assert (objective.square_temperature, objective.normalise) == (False, "micro_batch")
    assert JointObjective(preset="published_code").normalise == "micro_batch"


def test_a_given_field_beats_the_preset() -> None:
    objective = DistillationObjective(preset="published_code", label=0.5)
    assert (objective.reasoning, objective.label) == (1.0, 0.5)


def test_a_resolved_objective_reads_back_as_itself() -> None:
    for preset in ("described", "published_code"):
        objective = DistillationObjective(preset=preset, temperature=3)
        assert DistillationObjective.model_validate(objective.model_dump()) == objective


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValidationError, match="preset"):
        JointObjective.model_validate({"preset": "folklore"})


def test_how_many_logits_are_made_at_once_does_not_make_a_stage_stale() -> None:
    assert JointObjective(head_tokens=7).fingerprint() == JointObjective().fingerprint()


def test_the_docs_name_every_option_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "joint-training.md").read_text("utf-8")
    for name, field in DistillationObjective.model_fields.items():
        assert f"| `{name}` | `{field.default}` |" in page
    for name, value in DistillationObjective.presets["published_code"].items():
        assert f"`{name}: {value}`" in page
