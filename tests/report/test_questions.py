"""What a report says about a run of multimodal-cot, on files written by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from made_runs import make_run
from mulcot.multimodal_cot.formats import RATIONALE, SourcedRationale
from mulcot.multimodal_cot.rationales import save_taught
from mulcot.report.curves import read_curves
from mulcot.report.example_gallery import draw_cases
from mulcot.report.run import read_run


def test_rationales_are_looked_at_by_rouge(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": 1, "epoch": 0.5, "loss": 2.0, "text": 2.0000001},
        {"step": 2, "evaluation": {"rouge_l": 0.25, "tie": 0.3, "examples": 4}},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    curves = read_curves(path)
    assert curves is not None
    assert (curves.measure, curves.looks) == ("rouge_l", {"dev": [(2, 0.25)]})
    assert curves.losses == {"loss": [(1, 2.0)]}, "its only part says the same"


def test_a_loss_of_several_parts_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"step": 1, "loss": 2.0, "chain": 2.0, "label": 0.0}) + "\n")
    curves = read_curves(path)
    assert curves is not None
    assert set(curves.losses) == {"loss", "chain", "label"}


def test_the_right_rationale_stands_beside_the_written_one(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r", count=4)
    ids = [json.loads(line)["id"] for line in (folder / "1-dataset/examples.jsonl").read_text("utf-8").splitlines()]
    stage = folder / "4-rationale"
    shutil.copytree(folder / "2-teacher", stage)
    save_taught(
        stage / "taught.jsonl",
        {ids[0]: SourcedRationale("It is so.", "human"), ids[1]: SourcedRationale("Hm.", "teacher")},
    )
    found = {case.example.id: case.reference for case in draw_cases(read_run(folder), 4, 0).cases}
    for place, (text, note) in enumerate([("It is so.", "written by a person"), ("Hm.", "written by the teacher")]):
        voice = found[ids[place]]
        assert voice is not None
        assert (voice.fields, voice.note) == ({RATIONALE: text}, note)
    assert sum(voice is not None and RATIONALE in voice.fields for voice in found.values()) == 2
