from __future__ import annotations

from pathlib import Path

from scripted import honest, make_job, make_stage, messy, write_posts

from mulcot.errors import MulcotError


def test_without_any_reply_it_is_a_formula_with_its_assumptions_shown(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", write_posts(tmp_path / "data", 30))
    found = make_stage(honest).estimate(job)
    assert (found.basis, found.examples, found.settled) == ("formula", 30, 0)
    assert found.money is None
    assert found.requests == round(30 * 1.05 * 1.4)
    assert found.to_json()["money"] is None
    text = "\n".join(found.lines(None))
    assert "by formula" in text
    assert "unknown" in text
    assert "share that needs the label 0.4" in text
    assert not (job.folder / "ledger.sqlite").exists()


def test_after_the_pilot_it_is_measured(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", write_posts(tmp_path / "data", 120))
    prices = {"prompt_per_million": 1.0, "completion_per_million": 10.0}
    stage = make_stage(messy, pilot={"size": 40, "min_stage1_accuracy": 1.0}, prices=prices)
    try:
        stage.run(job)
    except MulcotError:
        pass
    else:
        raise AssertionError("the pilot should have stopped it")
    found = stage.estimate(job)
    assert found.basis == "measured"
    assert found.assumptions["tokens_per_prompt"] == 100
    assert found.replies_so_far == len(stage.backend.log)  # type: ignore[attr-defined]
    done = make_stage(messy, prices=prices)
    before = len(stage.backend.log)  # type: ignore[attr-defined]
    done.run(job)
    needed = len(done.backend.log)  # type: ignore[attr-defined]
    assert before + needed > 120
    assert abs(found.requests - needed) < 0.3 * needed
    after = done.estimate(job)
    assert (after.settled, after.requests, after.money) == (120, 0, 0.0)


def test_no_second_stage_costs_no_second_stage(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", write_posts(tmp_path / "data", 20))
    assert make_stage(honest, retry={"stage2_attempts": 0}).estimate(job).requests == 21
