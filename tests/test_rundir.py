import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mulcot.errors import RunError, RunLocked, StageMissing
from mulcot.rundir import FORMAT, RunFolder, StageFolder, StageRecord, atomic, file_stamp, share


def finish(folder: StageFolder, fingerprint: str = "f") -> None:
    folder.finish(StageRecord(stage="x", fingerprint=fingerprint, outputs=folder.outputs({})))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_stage_without_its_record_is_unfinished(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "1-x")
    folder.begin("f", ())
    assert folder.record is None
    with pytest.raises(StageMissing):
        folder.finished()
    finish(folder)
    assert folder.finished().fingerprint == "f"


def test_beginning_again_under_the_same_settings_keeps_partial_work(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "1-x")
    folder.begin("f", ())
    (folder / "partial").write_text("1")
    folder.begin("f", ())
    assert (folder / "partial").exists()


def test_other_settings_set_the_old_work_aside_but_keep_what_was_paid_for(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "1-x")
    folder.begin("f", ())
    (folder / "partial").write_text("old")
    (folder / "ledger.sqlite").write_text("paid")
    folder.begin("g", ("ledger.sqlite*",))
    assert not (folder / "partial").exists()
    assert (folder / "ledger.sqlite").read_text() == "paid"
    assert [p.read_text() for p in (tmp_path / "superseded").rglob("partial")] == ["old"]


def test_a_file_replaced_by_hand_changes_the_content_hash(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "1-x")
    folder.begin("f", ())
    (folder / "examples.jsonl").write_text("a")
    finish(folder)
    before = folder.content()
    assert folder.content() == before
    (folder / "examples.jsonl").write_text("b")
    assert folder.content() != before
    (folder / "examples.jsonl").unlink()
    with pytest.raises(RunError, match="is gone"):
        folder.content()


def test_bulky_folders_and_hidden_files_are_not_listed(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "1-x")
    folder.begin("f", ())
    (folder / "pictures").mkdir()
    for name in ("pictures/a.png", ".hidden", "real"):
        (folder / name).write_text("x")
    assert set(folder.outputs({}, ("pictures",))) == {"real"}


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    stamp = file_stamp(path)
    trusted = {**stamp, "sha256": "remembered"}
    assert file_stamp(path, trusted) == trusted
    os.utime(path, ns=(1, 1))
    assert file_stamp(path, trusted)["sha256"] == stamp["sha256"]


def test_a_damaged_or_later_record_is_a_clear_error(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "1-x")
    folder.begin("f", ())
    (folder / "stage.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        _ = folder.record
    (folder / "stage.json").write_text(json.dumps({"stage": "x", "fingerprint": "f", "format": FORMAT + 1}))
    with pytest.raises(RunError, match="later version"):
        _ = folder.record


def test_stages_are_listed_in_their_order(tmp_path: Path) -> None:
    for name in ("10-report", "2-teacher", "1-dataset", "superseded", "x-y"):
        (tmp_path / name).mkdir()
    assert [stage.path.name for stage in RunFolder(tmp_path).stages()] == ["1-dataset", "2-teacher", "10-report"]


HOLD = """
import sys, time
from pathlib import Path
from mulcot.rundir import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused_until_the_first_is_gone_even_by_kill(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunLocked, match=str(holder.pid)), RunFolder(tmp_path).locked():
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    deadline = time.monotonic() + 30
    while True:
        try:
            with RunFolder(tmp_path).locked():
                return
        except RunLocked:
            assert time.monotonic() < deadline


def test_a_device_or_a_pipe_is_never_replaced_and_a_link_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="no ordinary file"), atomic(tmp_path / "pipe"):
        pass
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link").symlink_to("real")
    with atomic(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_finished_stage_holds_nothing_half_written(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "1-x")
    folder.begin("f", ())
    (folder / "pictures" / "ab").mkdir(parents=True)
    for left in (".examples.jsonl.77.part", "pictures/ab/.x7.part"):
        (folder / left).write_text("killed")
    finish(folder)
    assert {path.name for path in folder.path.rglob("*") if path.is_file()} == {"started.json", "stage.json"}


def test_a_place_that_cannot_be_written_is_found_without_making_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert RunFolder(tmp_path / "new" / "deep").problems() == []
    assert not (tmp_path / "new").exists()
    for place in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("a" * 400), Path("a\0b")):
        assert RunFolder(place).problems(), place
        with pytest.raises(RunError, match="cannot be written"), RunFolder(place).locked():
            pass


def test_files_get_the_rights_of_any_others(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    (tmp_path / "weights").write_bytes(b"x")
    (tmp_path / "weights").chmod(0o600)
    share(tmp_path)
    assert (tmp_path / "weights").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_stage_is_found_by_its_name_whatever_its_number(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for number, name in ((1, "dataset"), (2, "student")):
        made = folder.stage(number, name)
        made.begin("f", ())
        inputs = {"dataset": folder.stage(1, "dataset").content()} if name == "student" else {}
        (made / "file").write_text(name)
        made.finish(StageRecord(stage=name, fingerprint="f", outputs=made.outputs({}), inputs=inputs))
    assert folder.stage(3, "student").path == tmp_path / "2-student"
    between = folder.stage(2, "between")
    assert between.path == tmp_path / "2-between"
    between.begin("f", ())
    assert [stage.name for stage in folder.stages()] == ["dataset", "between", "student"]


def test_whether_a_stage_is_outdated_does_not_depend_on_numbers(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    first = folder.stage(5, "first")
    first.begin("f", ())
    (first / "file").write_text("1")
    finish(first)
    second = folder.stage(2, "second")
    second.begin("f", ())
    second.finish(StageRecord(stage="second", fingerprint="f", inputs={"first": first.content()}))
    assert {stage.name: state for stage, state in folder.states()} == {"first": "finished", "second": "finished"}
    (first / "file").write_text("other")
    assert {stage.name: state for stage, state in folder.states()} == {"first": "finished", "second": "outdated"}
