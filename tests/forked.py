"""Commands of Python as forks of one process that has imported what they need: each may die, and costs little.

`forked.py` itself is that process. Forks share the seed of their hashes: where the order of sets could matter, compare
with a process that was started anew.
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path


@cache
def _server() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """For what commands say."""
    return tempfile.TemporaryDirectory(prefix="forked-")


def _ask(*words: object) -> str:
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps(words) + "\n")
    server.stdin.flush()
    return server.stdout.readline().strip()


def close() -> None:
    """Waits for the end of the one process, if there is one."""
    if _server.cache_info().currsize:
        _server().communicate()
        _folder().cleanup()
        _server.cache_clear()
        _folder.cache_clear()


class Fork:
    """As much of `subprocess.Popen` as tests need; what was said lies in files."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.args, self.returncode = command, None
        self.said = Path(tempfile.mkdtemp(dir=_folder().name))
        for name in ("out", "err"):
            (self.said / name).touch()
        self.pid = int(_ask("start", str(self.said), {**os.environ, **environment}, command))

    def poll(self) -> int | None:
        if self.returncode is None and (code := _ask("poll", self.pid)):
            self.returncode = int(code)
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                self.send_signal(9)
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def read(self, name: str) -> str:
        return (self.said / name).read_text("utf-8")

    def communicate(self, timeout: float = 240) -> tuple[str, str]:
        self.wait(timeout)
        return self.read("out"), self.read("err")


def run(*command: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run([sys.executable, *command])`, with what it says."""
    fork = Fork(*command)
    out, err = fork.communicate(timeout)
    return subprocess.CompletedProcess(command, fork.wait(timeout), out, err)


def together(number: int, *command: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """The command in several processes that know of each other, as `torchrun` starts them; one failure ends all."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    group = {
        "WORLD_SIZE": str(number),
        "LOCAL_WORLD_SIZE": str(number),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    forks = [Fork(*command, RANK=str(rank), LOCAL_RANK=str(rank), **group) for rank in range(number)]
    deadline = time.monotonic() + timeout
    while None in (codes := [fork.poll() for fork in forks]):
        if any(codes) or time.monotonic() > deadline:
            for fork in forks:
                fork.send_signal(9)
        time.sleep(0.01)
    out, err = ("".join(fork.read(name) for fork in forks) for name in ("out", "err"))
    return subprocess.CompletedProcess(command, next(filter(None, codes), 0), out, err)


def import_all() -> None:
    """What a run needs, apart from what it takes to run."""
    import mulcot.backbones.vlm.loaded
    import mulcot.cli
    import mulcot.multimodal_cot.model
    import mulcot.open_predictor
    import mulcot.recipe
    import mulcot.serving.app
    import mulcot.training.loop  # noqa: F401


def serve() -> None:
    import_all()
    for line in sys.stdin:
        match json.loads(line):
            case ["start", said, env, command]:
                child = os.fork()
                if child == 0:
                    become(said, env, command)
                    return
                sys.stdout.write(f"{child}\n")
            case ["poll", child]:
                ended, status = os.waitpid(child, os.WNOHANG)
                sys.stdout.write(f"{os.waitstatus_to_exitcode(status) if ended else ''}\n")
        sys.stdout.flush()


def become(said: str, env: dict[str, str], command: list[str]) -> None:
    """The command; this process ends with it."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{said}/{name}", os.O_WRONLY | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(env)
    if command[0] == "-c":
        sys.argv = ["-c", *command[2:]]
        exec(compile(command[1], "-c", "exec"), {"__name__": "__main__"})
    elif command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        sys.path.insert(0, str(Path(command[0]).parent))
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    serve()
