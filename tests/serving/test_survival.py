"""What a service has to live through: hostile load, its model folder removed, SIGTERM while it is busy."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mulcot.serving.settings import Limits

from .fakes import Fake, Unfolding, chain_of, label_of
from .running import Running, served
from .test_predict import encoded, picture

REQUESTS = 3000
LIMITS = Limits(body=200_000, bodies=40_000_000, header_seconds=10, body_seconds=10, reading_seconds=10)


def bomb() -> str:
    """A picture of a few bytes that claims to be of 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    size = (60_000).to_bytes(4, "big")
    header = chunk(b"IHDR", size + size + b"\x08\x02\x00\x00\x00")
    return encoded(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))


HOSTILE: list[tuple[bytes, set[int]]] = [
    (json.dumps(value).encode(), statuses)
    for value, statuses in [
        ({"text": "a", "image": bomb()}, {422}),
        ({"text": "a", "image": "A" * 1000}, {422}),
        ({"text": "a", "image": encoded(picture()[:50])}, {422}),
        ({"text": "a", "image": "http://169.254.169.254/latest"}, {422}),
        ({"text": "poison"}, {500, 429}),
        ({"text": " "}, {422, 429}),
        ({"text": "x" * 150_000}, {400}),
        ({"items": [{"text": "a"}] * 500}, {400}),
        ({"text": {"deep": [[[[]]]]}}, {400}),
    ]
] + [(b'{"text": "\xff\xfe"}', {400}), (b"x" * 300_000, {413}), (b"[" * 50_000, {400})]


async def good(session: aiohttp.ClientSession, url: str, number: int) -> None:
    """Asks again when told to, and checks every word."""
    text = "good " * (number % 17) + str(number)
    ask: dict[str, Any] = {"text": text, "label_only": number % 3 == 0}
    if number % 4 == 0:
        ask["image"] = encoded(picture())
    while True:
        async with session.post(f"{url}/v1/predict", json=ask) as reply:
            if reply.status == 429:
                await asyncio.sleep(0.05)
                continue
            found = await reply.json()
            assert reply.status == 200, found
            assert found["label"] == label_of(text)
            assert found["chain"] == (None if ask["label_only"] else chain_of(text))
            return


async def hostile(session: aiohttp.ClientSession, url: str, number: int) -> None:
    body, statuses = HOSTILE[number % len(HOSTILE)]
    async with session.post(f"{url}/v1/predict", data=body, headers={"Content-Type": "application/json"}) as reply:
        raw = await reply.read()
        assert reply.status in statuses, (body[:80], reply.status, raw)
        assert b"Traceback" not in raw
        assert b"secret" not in raw


async def rude(port: int, number: int) -> None:
    """Half a request, a request nobody waits for, or noise."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"text": "left alone"}'
    head = b"POST /v1/predict/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    writer.write([whole, whole[:60], whole[:-3], b"\x00\xff" * 50][number % 4])
    if number % 8 == 0:
        await reader.read(10)
    writer.close()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_thousands_of_good_and_hostile_requests_end_right_and_leave_nothing_behind() -> None:
    async def storm(service: Running, count: int) -> None:
        rng, gate = random.Random(count), asyncio.Semaphore(48)

        async def one(session: aiohttp.ClientSession, number: int) -> None:
            async with gate:
                kind = rng.random()
                if kind < 0.5:
                    await good(session, service.url, number)
                elif kind < 0.85:
                    await hostile(session, service.url, number)
                else:
                    await rude(service.port, number)

        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=64)) as session:
            await asyncio.gather(*(one(session, number) for number in range(count)))

    with served(Unfolding(), limits=LIMITS, queue=24) as service:
        asyncio.run(storm(service, REQUESTS // 3))
        before = resident()
        for _ in range(2):
            asyncio.run(storm(service, REQUESTS // 3))
        time.sleep(1.5)  # until nothing slow is waited for
        engine, guard = service.service.engine, service.server.config.app
        assert (engine.waiting, engine._running, service.service.pictures.held.used, guard.budget.used) == (0, [], 0, 0)
        assert not service.server.server_state.connections
        assert resident() - before < 60_000_000


def test_a_client_that_stops_reading_or_leaves_does_not_stop_the_others() -> None:
    fake = Unfolding(seconds=0.005)
    with served(fake, limits=LIMITS) as service:
        body = b'{"text": "%b"}' % (b"long " * 2000)
        request = b"POST /v1/predict/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        stuck = []
        for _ in range(4):
            connection = socket.create_connection(("127.0.0.1", service.port))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            connection.sendall(request + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            stuck.append(connection)
        stuck.pop().close()
        assert service.json("/v1/predict", {"text": "other"})[0] == 200
        for connection in stuck:
            connection.close()


@contextmanager
def process(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`mulcot serve` as users start it."""
    command = [sys.executable, "-m", "mulcot", "serve", "--model", str(folder), "--port", "0", *options]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        port = 0
        for line in child.stdout:
            if line.startswith("address"):
                port = int(line.rsplit(":", 1)[1])
                break
        assert port, child.stderr.read() if child.stderr else ""
        yield child, port
    finally:
        child.kill()
        child.communicate()


def post(port: int, text: str, *, label_only: bool = True) -> Any:
    body = json.dumps({"text": text, "label_only": label_only}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=100) as reply:
        return json.load(reply)


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


@pytest.mark.slow
def test_sigterm_under_load_loses_no_accepted_request_and_no_model_folder_is_needed(
    student_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(student_folder, tmp_path / "model"))
    with process(folder, "--max-tokens", "30", "--batch-size", "4") as (child, port):
        first = post(port, "a day")
        shutil.rmtree(folder)
        assert post(port, "a day")["label"] == first["label"]
        answers: list[Any] = []
        threads = [
            threading.Thread(target=lambda n=n: answers.append(post(port, f"post {n}", label_only=False)))
            for n in range(16)
        ]
        for thread in threads:
            thread.start()
        while metric(port, "mulcot_queue_length") < 6:
            time.sleep(0.02)
        time.sleep(0.5)  # until all have been accepted
        child.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(100)
        assert len(answers) == 16
        assert all(answer["chain"] is not None for answer in answers)
        assert child.wait(60) == 0
        assert "every accepted request was answered" in child.stdout.read()
        log = [json.loads(line) for line in child.stderr.read().splitlines()]
        assert sum(line["status"] == 200 and line["route"] == "/v1/predict" for line in log) == 18


def test_the_end_waits_for_what_was_accepted_and_accepts_no_more() -> None:
    fake = Fake()
    fake.gate = threading.Event()
    answers: list[Any] = []
    with served(fake) as service:
        threads = [
            threading.Thread(target=lambda n=n: answers.append(service.json("/v1/predict", {"text": f"post {n}"})))
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 30
        while sum(map(len, fake.batches)) + service.service.engine.waiting < 6:
            assert time.monotonic() < until
            time.sleep(0.01)
        service.server.should_exit = True
        time.sleep(0.3)
        with pytest.raises(OSError):
            service.ask("/healthz")
        fake.gate.set()
        for thread in threads:
            thread.join(10)
    assert [status for status, _ in answers] == [200] * 6


def test_a_request_whose_client_left_is_not_worked_on() -> None:
    fake = Fake()
    fake.gate = threading.Event()
    with served(fake) as service:

        def ask(text: bytes) -> socket.socket:
            body = b'{"text": "%b"}' % text
            connection = socket.create_connection(("127.0.0.1", service.port))
            head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            return connection

        def settled(waiting: int) -> None:
            until = time.monotonic() + 30
            while not (fake.batches and service.service.engine.waiting == waiting):
                assert time.monotonic() < until
                time.sleep(0.01)

        with ask(b"first"):
            settled(0)
            other = ask(b"second")
            settled(1)
            other.close()
            settled(0)
            fake.gate.set()
        service.ask("/v1/predict", {"text": "third"})
    assert ["second"] not in fake.batches


def test_a_late_answer_is_a_504() -> None:
    fake = Fake(seconds=0.5)
    with served(fake, deadline=0.1) as service:
        status, found = service.json("/v1/predict", {"text": "slow"})
        assert (status, found["error"]["code"]) == (504, "deadline")


def test_a_full_queue_is_a_429_that_says_when_to_come_back() -> None:
    fake = Fake()
    fake.gate = threading.Event()
    with served(fake, queue=2) as service:
        threads = [threading.Thread(target=service.ask, args=("/v1/predict", {"text": "x"})) for _ in range(3)]
        for thread in threads:
            thread.start()
            time.sleep(0.1)
        status, headers, _ = service.ask("/v1/predict", {"text": "too much"})
        assert (status, int(headers["retry-after"]) >= 1) == (429, True)
        fake.gate.set()
        for thread in threads:
            thread.join(10)


HEAD = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"
FORM = b'--b\r\nContent-Disposition: form-data; name="table"; filename="a.csv"\r\n\r\ntext\r\n'


@pytest.mark.parametrize(
    ("route", "kind", "sent"),
    [
        ("/v1/predict", "application/json", b'{"text": "half'),
        ("/v1/predict", "multipart/form-data; boundary=b", FORM),
        ("/v1/predict/stream", "application/json", b""),
        ("/v1/chat/completions", "application/json", b'{"messages": ['),
        ("/v1/batch", "multipart/form-data; boundary=b", FORM),
    ],
)
def test_a_client_that_leaves_in_the_middle_of_its_body_is_noted_as_gone_and_not_as_a_failure(
    route: str, kind: str, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with served(Unfolding()) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(HEAD.format(route, kind, 5000).encode() + sent)
            time.sleep(0.1)
        assert noted(service)["status"] == 499
        assert f'mulcot_requests_total{{route="{route}",status="499"}} 1' in service.ask("/metrics")[2].decode()
        assert service.service.engine.waiting == 0 and service.server.config.app.budget.used == 0
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/predict/stream", {"text": "a long story"}),
        ("/v1/chat/completions", {"stream": True, "messages": [{"role": "user", "content": "a long story"}]}),
    ],
)
def test_a_client_that_leaves_in_the_middle_of_a_stream_is_noted_as_gone(
    route: str, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    raw = json.dumps(body).encode()
    with served(Unfolding(seconds=0.05)) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(HEAD.format(route, "application/json", len(raw)).encode() + raw)
            assert b"200 OK" in connection.recv(4096)
        assert noted(service)["status"] == 499
        assert f'mulcot_requests_total{{route="{route}",status="499"}} 1' in service.ask("/metrics")[2].decode()
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(HEAD.format(route, "application/json", len(raw)).encode() + raw)
            while connection.recv(4096)[-5:] != b"0\r\n\r\n":
                pass
        assert noted(service, 3)["status"] == 200, "this one was read to its end"
    assert caplog.text == ""


def noted(service: Running, lines: int = 1) -> dict[str, Any]:
    """The last of so many lines of the log."""
    until = time.monotonic() + 10
    while len(service.log) < lines:
        assert time.monotonic() < until
        time.sleep(0.01)
    return service.log[lines - 1]
