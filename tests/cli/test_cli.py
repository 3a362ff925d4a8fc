import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "mulcot"]


def started(*words: str, temporary: Path) -> subprocess.Popen[str]:
    """A command with its usual Ctrl-C, as a shell in the foreground would start it."""
    return subprocess.Popen(
        [*COMMAND, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [("--help",), ("recipe", "schema"), ("list", "tasks")])
def test_a_full_disk_is_one_calm_line(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr.splitlines()[0] == "error: No space left on device"
    assert "Traceback" not in done.stderr
    assert done.returncode != 0


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_leaves_nothing_behind(sent: signal.Signals, code: int, tmp_path: Path) -> None:
    temporary, out = tmp_path / "temporary", tmp_path / "exported"
    temporary.mkdir()
    command = started(
        "data", "export", "synthetic", "train=50000", "--to", "jsonl", "--out", str(out), temporary=temporary
    )
    patience = time.monotonic() + 120
    while not any(tmp_path.rglob("*.jpg")) and not any(tmp_path.rglob("*.png")):
        assert command.poll() is None and time.monotonic() < patience
        time.sleep(0.02)
    command.send_signal(sent)
    _, said = command.communicate(timeout=120)
    assert command.returncode == code
    assert "Traceback" not in said
    assert ("interrupted" in said) == (sent == signal.SIGINT)
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]
    assert list(temporary.iterdir()) == [], tempfile.gettempdir()


def test_what_the_system_refuses_is_one_calm_line_with_its_place(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"version: 1\ndataset: {{name: files, path: {'a' * 5000}}}\n")
    done = subprocess.run([*COMMAND, "check", str(recipe)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: File name too long: aaa")
    assert len(done.stderr.splitlines()) == 1
