"""The teacher stage on the simulated server in a process of its own: kills, storms, outages, bad replies."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import forked
from mulcot.errors import RunLocked
from mulcot.rundir import RunFolder
from mulcot.teacher.simulation.settings import Mistakes

RESULTS = ("rationales.jsonl", "failures.jsonl")


@contextmanager
def simulated(*options: str, port: int = 0) -> Iterator[int]:
    """A simulated teacher; gives its port."""
    server = forked.Fork("-m", "mulcot", "teacher", "simulate", "--port", str(port), *options)
    try:
        while server.poll() is None and "\n" not in server.read("out"):
            time.sleep(0.01)
        yield int(server.read("out").rstrip().removesuffix("/v1").rpartition(":")[2])
    finally:
        server.send_signal(signal.SIGKILL)
        server.communicate()


def recipe(folder: Path, port: int, number: int = 40, **backend: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"name": "openai_compatible", "base_url": f"http://127.0.0.1:{port}/v1", "model": "simulated-teacher"}
    settings |= {"served_as": "simulated", "concurrency": 8, "start_concurrency": 8, "images": {"size": 140}}
    data = {
        "version": 1,
        "output": str(folder / "run"),
        "dataset": {"name": "synthetic", "train": number, "dev": 1, "test": 1},
        "teacher": {"backend": {**settings, **backend}, "pilot": None},
    }
    path = folder / "r.yaml"
    path.write_text(json.dumps(data), "utf-8")
    return path


def run(path: Path, *overrides: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    return forked.run("-m", "mulcot", "run", str(path), *overrides, timeout=timeout)


def results(path: Path) -> list[bytes]:
    return [(path.parent / "run" / "2-teacher" / name).read_bytes() for name in RESULTS]


def committed(path: Path) -> int:
    ledger = path.parent / "run" / "2-teacher" / "ledger.sqlite"
    if not ledger.exists():
        return 0
    connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    try:
        count: int = connection.execute("SELECT count(*) FROM attempts WHERE error IS NULL").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()
    return count


def served(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as response:
        counts: dict[str, Any] = json.load(response)
    return counts


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    with simulated("mistakes.missing_fields=0.2") as port:
        path = recipe(tmp_path_factory.mktemp("undisturbed"), port)
        command = [sys.executable, "-m", "mulcot", "run", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stderr
        return results(path)


def killed_and_continued(path: Path, port: int, kills: int, dice: random.Random) -> None:
    """Kills the run at random moments, then lets it finish; no committed reply may be asked for again."""
    width = 8
    for _ in range(kills):
        process = forked.Fork("-m", "mulcot", "run", str(path))
        begun = committed(path)
        wanted, deadline = begun + dice.randint(0, 3), time.monotonic() + 30
        while process.poll() is None and committed(path) <= wanted and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(dice.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert committed(path) >= begun
    done = run(path)
    assert done.returncode == 0, done.stderr
    counts = served(port)
    assert counts["answered"] <= committed(path) + kills * 2 * width, "only what was in flight may be asked again"


def test_after_a_few_kills_the_result_is_that_of_an_undisturbed_run(undisturbed: list[bytes], tmp_path: Path) -> None:
    with simulated("mistakes.missing_fields=0.2", "latency_ms=30") as port:
        path = recipe(tmp_path, port)
        killed_and_continued(path, port, 2, random.Random(1))
        assert results(path) == undisturbed


@pytest.mark.slow
def test_after_thirty_kills_the_result_is_that_of_an_undisturbed_run(undisturbed: list[bytes], tmp_path: Path) -> None:
    with simulated("mistakes.missing_fields=0.2", "latency_ms=60") as port:
        path = recipe(tmp_path, port)
        killed_and_continued(path, port, 30, random.Random(2))
        assert results(path) == undisturbed


@pytest.mark.parametrize(
    "trouble",
    [
        ["troubles.rate_limited=1", "troubles.retry_after=0.05"],
        pytest.param(["troubles.rate_limited=0.5"], marks=pytest.mark.slow),
        ["troubles.burst_every=7", "troubles.burst_length=5", "troubles.retry_after=0.05"],
        ["troubles.dropped=0.5"],
        ["troubles.server_errors=0.5"],
        ["troubles.garbage=0.5"],
    ],
    ids=" ".join,
)
def test_trouble_costs_time_and_changes_nothing(trouble: list[str], undisturbed: list[bytes], tmp_path: Path) -> None:
    with simulated("mistakes.missing_fields=0.2", *trouble) as port:
        path = recipe(tmp_path, port)
        done = run(path)
        assert done.returncode == 0, done.stderr
        assert results(path) == undisturbed
        assert served(port)["repeated"] == 0


@pytest.mark.slow
def test_replies_of_fifty_megabytes_are_not_read(undisturbed: list[bytes], tmp_path: Path) -> None:
    with simulated("mistakes.missing_fields=0.2", "troubles.huge=0.2", "troubles.slow=0.2") as port:
        path = recipe(tmp_path, port)
        done = run(path, timeout=300)
        assert done.returncode == 0, done.stderr
        assert results(path) == undisturbed


def test_a_server_that_is_gone_for_a_while_is_waited_for(undisturbed: list[bytes], tmp_path: Path) -> None:
    with simulated("mistakes.missing_fields=0.2", "latency_ms=50") as port:
        path = recipe(tmp_path, port)
        process = forked.Fork("-m", "mulcot", "run", str(path))
        deadline = time.monotonic() + 240
        while committed(path) < 8:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    time.sleep(1.0)
    with simulated("mistakes.missing_fields=0.2", port=port):
        assert process.wait(timeout=240) == 0
    assert results(path) == undisturbed


@pytest.mark.parametrize("kind", [kind for kind in Mistakes.model_fields if kind != "dressed"])
def test_with_every_malformed_kind_each_example_ends_with_a_chain_or_its_reasons(kind: str, tmp_path: Path) -> None:
    with simulated(f"mistakes.{kind}=0.6") as port:
        path = recipe(tmp_path, port, number=16)
        done = run(path)
    assert done.returncode == 0, done.stderr
    accepted, failed = ([json.loads(line) for line in content.splitlines()] for content in results(path))
    assert len(accepted) + len(failed) == 16
    assert accepted, "asking again helps"
    for entry in accepted:
        text = json.dumps(entry["fields"])
        assert len(entry["fields"]) == 5
        assert not any(token in text for token in ("<|im_end|>", "<|image_pad|>", "[INST]", "</s>"))


def test_a_wrong_key_and_an_unknown_model_fail_once_and_at_once(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SIMULATED_KEY", "right")
    with simulated("--key-env", "SIMULATED_KEY") as port:
        monkeypatch.setenv("SIMULATED_KEY", "hunter2-wrong")
        done = run(recipe(tmp_path / "key", port, api_key_env="SIMULATED_KEY"))
        assert done.returncode == 1
        assert "api_key_env" in done.stderr
        assert served(port)["requests"] == 1
        for file in (tmp_path / "key").rglob("*"):
            assert not file.is_file() or b"hunter2-wrong" not in file.read_bytes()
        assert "hunter2" not in done.stdout + done.stderr
    with simulated() as port:
        done = run(recipe(tmp_path / "model", port, model="other-teacher"))
        assert done.returncode == 1
        assert "other-teacher" in done.stderr
        assert served(port)["requests"] == 1


def test_two_processes_never_write_one_run_folder(tmp_path: Path) -> None:
    with simulated("latency_ms=1500") as port:
        path = recipe(tmp_path, port)
        first = forked.Fork("-m", "mulcot", "run", str(path))
        deadline = time.monotonic() + 240
        while committed(path) < 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        second = run(path)
        assert second.returncode == 1
        assert f"process {first.pid}" in second.stderr
        with pytest.raises(RunLocked), RunFolder(tmp_path / "run").locked():
            pass
        assert first.wait(timeout=240) == 0


def test_ctrl_c_finishes_what_is_in_flight_and_says_how_to_go_on(undisturbed: list[bytes], tmp_path: Path) -> None:
    with simulated("mistakes.missing_fields=0.2", "latency_ms=100") as port:
        path = recipe(tmp_path, port)
        process = forked.Fork("-m", "mulcot", "run", str(path))
        deadline = time.monotonic() + 240
        while committed(path) < 5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=240)
        assert process.returncode == 130
        assert "same command continues" in err
        assert served(port)["answered"] == committed(path), "nothing that was answered is lost"
        assert run(path).returncode == 0
        assert served(port)["repeated"] == 0
        assert results(path) == undisturbed
