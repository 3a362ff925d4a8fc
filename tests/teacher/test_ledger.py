"""The ledger keeps what it said it kept: through kill -9, full disks, other processes and broken files."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import forked
from mulcot.errors import RunError
from mulcot.teacher.base import Finish, Reply, Usage
from mulcot.teacher.transport import ledger_database as database
from mulcot.teacher.transport.ledger import Attempt, Ledger

REPLY = Reply(
    text="Grüße \u0000 😀",
    finish=Finish.LENGTH,
    reasoning="hm",
    usage=Usage(prompt=5, completion=2),
    latency=0.25,
    model="m-1",
    remembered=True,
)


def good(key: str, **rest: Any) -> Attempt:
    return Attempt(**{"key": key, "example_id": f"of {key}", "teacher": "t", "reply": REPLY, **rest})


async def test_a_committed_reply_comes_back_exactly_after_reopening(tmp_path):
    attempt = good(
        "k", purpose="hint", attempt=3, sampling={"seed": 1}, prompt="hash", created_at="2026-01-01T00:00:00Z"
    )
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert ledger.reply("k") is None
        await ledger.commit(attempt)
        assert ledger.reply("k") == REPLY
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert ledger.reply("k") == REPLY
        assert list(ledger.attempts()) == [attempt]


async def test_what_has_been_awaited_is_on_disk_for_every_other_reader(tmp_path):
    path = tmp_path / "l.sqlite"
    with Ledger(path) as ledger:
        await ledger.commit(good("k"))
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT count(*) FROM attempts").fetchone() == (1,)


async def test_the_first_reply_to_a_request_stays(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        await ledger.commit(good("k"))
        await ledger.commit(good("k", reply=Reply(text="later")))
        assert ledger.reply("k") == REPLY
        assert len(list(ledger.attempts())) == 1


async def test_failures_are_kept_but_are_no_replies(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        for _ in range(2):
            ledger.note(Attempt(key="k", example_id="e", error="timeout", detail="no reply within 5 s"))
        ledger.note(Attempt(key="k", example_id="e", error="server", detail="\ud800"))
        await ledger.commit(good("other"))
        assert ledger.reply("k") is None
        assert ledger.failures() == {"timeout": 2, "server": 1}
        assert [found.error for found in ledger.attempts("e")] == ["timeout", "timeout", "server"]
        await ledger.commit(good("k"))
        assert ledger.reply("k") == REPLY


async def test_totals_know_what_was_paid_and_what_is_unknown(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        await asyncio.gather(
            ledger.commit(good("a")),
            ledger.commit(good("b", reply=Reply(usage=Usage(prompt=10, completion=1, cached=8)))),
            ledger.commit(good("c", reply=Reply(text="no usage"))),
            ledger.commit(good("d", origin="cache")),
            ledger.commit(Attempt(key="e", error="timeout")),
        )
        totals = ledger.totals()
    assert (totals.replies, totals.from_cache, totals.failures) == (3, 1, 1)
    assert (totals.prompt_tokens, totals.completion_tokens, totals.cached_tokens) == (15, 3, 8)
    assert totals.unknown_usage == 1


async def test_an_empty_ledger_has_totals(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert ledger.totals().replies == 0


async def test_hundreds_of_commits_at_once_share_few_transactions(tmp_path, monkeypatch):
    batches = []
    write = database.write
    monkeypatch.setattr(database, "write", lambda c, path, rows: (batches.append(len(rows)), write(c, path, rows)))
    with Ledger(tmp_path / "l.sqlite") as ledger:
        await asyncio.gather(*(ledger.commit(good(f"{n}")) for n in range(600)))
    assert sum(batches) == 600
    assert len(batches) <= 10


async def test_closing_writes_what_is_left(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        for number in range(1000):
            ledger.note(good(f"{number}"))
    with Ledger(tmp_path / "l.sqlite", read_only=True) as ledger:
        assert ledger.totals().replies == 1000


WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from mulcot.teacher.base import Reply
    from mulcot.teacher.transport.ledger import Attempt, Ledger

    async def main(path, name):
        with Ledger(Path(path)) as ledger:
            async def hand(n):
                for i in range(int(sys.argv[3])):
                    key = f"{name}-{n}-{i}"
                    await ledger.commit(Attempt(key=key, reply=Reply(text=key * 50)))
                    print(key, flush=True)
            await asyncio.gather(*(hand(n) for n in range(20)))

    asyncio.run(main(sys.argv[1], sys.argv[2]))
    """
)


def writer(path: Path, name: str, count: int = 10**6) -> forked.Fork:
    return forked.Fork("-c", WRITER, str(path), name, str(count))


def kill_and_check(path: Path, lines: int) -> None:
    process = writer(path, f"run-{lines}")
    while process.read("out").count("\n") < lines:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    told = [line.strip() for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    with Ledger(path) as ledger:
        assert len(told) >= lines
        for key in told:
            reply = ledger.reply(key)
            assert reply is not None and reply.text == key * 50, key


def test_after_kill_9_everything_that_counted_is_there(tmp_path):
    kill_and_check(tmp_path / "l.sqlite", 137)


@pytest.mark.slow
def test_after_many_kills_of_one_ledger_everything_that_ever_counted_is_there(tmp_path):
    for lines in range(1, 400, 20):
        kill_and_check(tmp_path / "l.sqlite", lines)


def test_several_processes_share_one_cache_without_losing_anything(tmp_path):
    path = tmp_path / "cache" / "shared.sqlite"
    processes = [writer(path, name, 20) for name in ("one", "two")]
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert len(output.splitlines()) == 400
    with Ledger(path) as ledger:
        assert ledger.totals().replies == 800


async def test_a_full_disk_stops_with_a_hint_and_keeps_what_was_committed(tmp_path, monkeypatch):
    path = tmp_path / "l.sqlite"
    connect = database.connect

    def small(*given: Any, **rest: Any) -> sqlite3.Connection:
        connection = connect(*given, **rest)
        connection.execute("PRAGMA max_page_count = 60")
        return connection

    monkeypatch.setattr(database, "connect", small)
    big = Reply(text="x" * 5000)
    kept = []
    with Ledger(path) as ledger:
        with pytest.raises(RunError, match="disk is full") as caught:
            for number in range(100):
                await ledger.commit(good(f"{number}", reply=big))
                kept.append(f"{number}")
        assert "same command continues" in caught.value.hint
        with pytest.raises(RunError, match="disk is full"):
            ledger.note(good("later"))
    monkeypatch.undo()
    assert 5 < len(kept) < 60
    with Ledger(path) as ledger:
        assert all(ledger.reply(key) == Reply(text=big.text, remembered=True) for key in kept)
        await ledger.commit(good("more"))
        assert ledger.totals().replies == len(kept) + 1


async def test_a_failure_to_write_that_nobody_waited_for_is_raised_at_the_end(tmp_path, monkeypatch):
    def full(*_: Any) -> None:
        raise RunError("the disk is full")

    monkeypatch.setattr(database, "write", full)
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.note(good("k"))
    with pytest.raises(RunError, match="disk is full"):
        ledger.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_explained(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="cannot be opened for writing"):
        Ledger(tmp_path / "l.sqlite")


def test_a_path_that_cannot_be_a_file_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "l.sqlite"):
        with pytest.raises(RunError):
            Ledger(path)


def test_a_ledger_that_is_not_there_is_not_made_by_readers(tmp_path):
    with pytest.raises(RunError):
        Ledger(tmp_path / "l.sqlite", read_only=True)
    assert not list(tmp_path.iterdir())


async def test_a_damaged_file_is_explained_and_left_alone(tmp_path):
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"this is no database" * 100)
    before = path.read_bytes()
    with pytest.raises(RunError, match="is damaged"):
        Ledger(path)
    assert path.read_bytes() == before


async def test_damage_in_the_middle_is_explained_when_it_is_met(tmp_path):
    path = tmp_path / "l.sqlite"
    with Ledger(path) as ledger:
        for number in range(300):
            ledger.note(good(f"{number}", reply=Reply(text="x" * 500)))
    data = bytearray(path.read_bytes())
    data[8192:] = os.urandom(len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(RunError, match="damaged"), Ledger(path) as ledger:
        list(ledger.attempts())


def test_somebody_elses_database_is_refused(tmp_path):
    path = tmp_path / "l.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE cats (name TEXT)")
    with pytest.raises(RunError, match="not a ledger of mulcot"):
        Ledger(path)


def test_the_ledger_of_a_later_version_is_refused(tmp_path):
    path = tmp_path / "l.sqlite"
    Ledger(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(RunError, match="later version"):
        Ledger(path)


async def test_a_ledger_that_another_process_keeps_locked_is_explained(tmp_path, monkeypatch):
    path = tmp_path / "l.sqlite"
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with Ledger(path) as ledger:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RunError, match="another process"):
            await ledger.commit(good("k"))
        other.close()


async def test_the_event_loop_goes_on_while_the_disk_is_slow(tmp_path, monkeypatch):
    write = database.write
    monkeypatch.setattr(database, "write", lambda *given: (time.sleep(0.3), write(*given)))
    with Ledger(tmp_path / "l.sqlite") as ledger:
        done, ticks = ledger.commit(good("k")), 0
        while not done.done():
            await asyncio.sleep(0.01)
            ticks += 1
    assert ticks > 10
