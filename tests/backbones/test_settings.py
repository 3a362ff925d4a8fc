from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from mulcot.backbones import Lora, backbones, saved_backbone
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.errors import MulcotError


def test_the_settings_of_every_backbone_are_readable_without_torch() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'peft'): sys.modules[name] = None\n"
        "from mulcot.backbones import backbones\n"
        "print([cls.model_json_schema()['title'] for cls in backbones])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "QwenVL" in out


def test_the_defaults_are_the_published_ones() -> None:
    lora, settings = Lora(), QwenVL()
    assert (lora.rank, lora.alpha) == (16, 32)
    assert lora.modules == ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert (settings.image_size, settings.dtype, settings.layout) == (280, "bf16", "shared_prefix")


def test_attention_checkpointing_and_vision_cache_do_not_make_a_finished_stage_stale() -> None:
    other = QwenVL(attention="flex", gradient_checkpointing=True, vision_cache=2)
    assert other.fingerprint() == QwenVL().fingerprint()
    assert QwenVL(layout="two_rows").fingerprint() != QwenVL().fingerprint()


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValidationError, match="lora_rank"):
        QwenVL.model_validate({"lora_rank": 8})


def test_a_folder_without_settings_is_no_model_folder(tmp_path) -> None:
    with pytest.raises(MulcotError, match=r"no model folder"):
        saved_backbone(tmp_path)


def test_every_backbone_has_a_documented_option_for_every_field() -> None:
    for cls in backbones:
        for name, field in cls.model_fields.items():
            assert field.description, f"{cls.name}.{name}"


def test_the_docs_name_every_option_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backbones.md").read_text("utf-8")
    for name, field in QwenVL.model_fields.items():
        row = re.search(rf"^\| `{name}` \| (.+?) \|", page, re.MULTILINE)
        assert row, name
        shown = "null" if field.default is None else field.default
        assert name == "lora" or row.group(1) == f"`{shown}`"
    assert f"`lora.dropout` | `{Lora().dropout}`" in page
    assert f"`lora.rank`, `lora.alpha` | `{Lora().rank}`, `{Lora().alpha}`" in page
