"""How much of a server's speed the teacher's client passes on, ledger included.

    python benchmarks/teacher_throughput.py [--json] [--quick]

A mock server in its own process answers after 200 ms. Each request carries a real 280x280 JPEG. Our whole client
(picture preparation, request keys, throttle, transport, ledger commits) and a plain aiohttp loop send the same requests
in turn, in the same process; rates and CPU are taken after the ramp-up. Then 100 000 examples, every fiftieth with a
picture not seen before, show whether memory stays flat, and their ledger is reopened and asked for every reply.

Targets: ratio_64 >= 0.9, ratio_256 >= 0.7, cpu_ms_per_request <= 1.5, reopen_100k_s < 3, rss_growth_mb about 0.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import numpy as np
from PIL import Image

from mulcot.media import Gallery, Store
from mulcot.records import ImageRef
from mulcot.teacher.backends.openai_compatible import OpenAICompatible
from mulcot.teacher.base import Request, Sampling
from mulcot.teacher.transport.concurrency import run_all
from mulcot.teacher.transport.images import EncodedPictures, ImageSettings, Picture
from mulcot.teacher.transport.ledger import Ledger
from mulcot.teacher.transport.remembering_client import Client, open_client

LATENCY = 0.2
SAMPLING = Sampling()
SYSTEM = "You explain how text and picture of a post fit together, step by step, and name its sentiment. " * 12
POST = "Post {number}: the crowd at the harbour cheered when the lights came on, see picture. " * 3
CHAIN = "\n".join(f"{name}: " + "the words and the picture agree in tone here. " * 8 for name in "ABCDE")
REPLY = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "model": "mock",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": CHAIN}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 250, "total_tokens": 750},
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(REPLY), REPLY)


class Mock(asyncio.Protocol):
    """The least that answers a keep-alive POST, so that the server is not what is measured."""

    latency = LATENCY

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.head = b""
        self.missing = -1

    def data_received(self, data: bytes) -> None:
        if self.missing < 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            lowered = self.head[:end].lower()
            start = lowered.index(b"content-length:") + 15
            length = int(lowered[start:].split(b"\r\n", 1)[0])
            self.missing, data = length, self.head[end + 4 :]
        self.missing -= len(data)
        if self.missing <= 0:
            self.head, self.missing = b"", -1
            asyncio.get_running_loop().call_later(self.latency, self.answer)

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(ANSWER)


async def serve(latency: float) -> None:
    Mock.latency = latency
    server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # ends with the parent


@contextmanager
def mock_server(latency: float = LATENCY) -> Iterator[str]:
    command = [sys.executable, __file__, "--serve", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.stdin.close()
            process.wait(10)


def draw_pictures(store: Store, count: int) -> list[ImageRef]:
    """Pictures with the bytes of a photograph: smooth noise."""
    rng = np.random.default_rng(0)
    refs = []
    for _ in range(count):
        small = Image.fromarray(rng.integers(0, 256, (36, 36, 3), dtype=np.uint8))
        out = io.BytesIO()
        small.resize((280, 280), Image.Resampling.BILINEAR).save(out, "JPEG", quality=90)
        refs.append(store.put(out.getvalue(), ".jpg"))
    return refs


class Meter:
    """Rate and CPU per request between two marks, after the ramp-up and before the tail."""

    def __init__(self, total: int) -> None:
        self.marks = (int(total * 0.35), int(total * 0.92))
        self.done = 0
        self.taken: list[tuple[float, float]] = []

    def tick(self) -> None:
        self.done += 1
        if self.done in self.marks:
            self.taken.append((time.perf_counter(), time.process_time()))

    def result(self) -> tuple[float, float]:
        (wall_0, cpu_0), (wall_1, cpu_1) = self.taken
        count = self.marks[1] - self.marks[0]
        return count / (wall_1 - wall_0), (cpu_1 - cpu_0) / count * 1000


def request_for(number: int, picture: Picture) -> Request:
    return Request(
        system=SYSTEM,
        user=POST.format(number=number),
        pictures=(picture,),
        sampling=SAMPLING,
        example_id=f"example-{number}",
        purpose="teach",
    )


async def ours(
    url: str, total: int, in_flight: int, ledger: Ledger, pictures: EncodedPictures, refs: list[ImageRef]
) -> Meter:
    teacher = OpenAICompatible(base_url=(url,), model="mock", concurrency=in_flight)
    meter = Meter(total)
    async with open_client(teacher, ledger) as client:

        async def work(number: int) -> None:
            await client.ask(request_for(number, pictures.picture(refs[number % len(refs)])))
            meter.tick()

        await run_all(range(total), work, width=teacher.width())
    return meter


async def plain(url: str, total: int, in_flight: int, urls: list[str]) -> Meter:
    meter = Meter(total)
    numbers = iter(range(total))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def hand() -> None:
            for number in numbers:
                content = [
                    {"type": "image_url", "image_url": {"url": urls[number % len(urls)]}},
                    {"type": "text", "text": POST.format(number=number)},
                ]
                messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]
                payload = {"model": "mock", "messages": messages, "temperature": 0.0, "max_tokens": 1024}
                async with http.post(f"{url}/chat/completions", json=payload) as response:
                    data = await response.json()
                assert data["choices"][0]["message"]["content"]
                meter.tick()

        await asyncio.gather(*(hand() for _ in range(in_flight)))
    return meter


def compare(folder: Path, in_flight: int, seconds: float, rounds: int) -> dict[str, float]:
    """Median rates of alternating runs; the ratio is the median of the pairs."""
    total = int(in_flight / LATENCY * seconds)
    store = Store(folder / "pictures")
    refs = draw_pictures(store, 64)
    rates: dict[str, list[tuple[float, float]]] = {"ours": [], "plain": []}
    with mock_server() as url, EncodedPictures(Gallery(None, store), ImageSettings()) as pictures:
        urls = asyncio.run(ready_urls(pictures, refs))
        for number in range(rounds):
            with Ledger(folder / f"{in_flight}-{number}.sqlite") as ledger:
                meter = asyncio.run(ours(url, total, in_flight, ledger, pictures, refs))
            rates["ours"].append(meter.result())
            rates["plain"].append(asyncio.run(plain(url, total, in_flight, urls)).result())
    pairs = zip(rates["ours"], rates["plain"], strict=True)
    out = {f"ratio_{in_flight}": statistics.median(mine[0] / theirs[0] for mine, theirs in pairs)}
    for name, found in rates.items():
        out[f"{name}_per_s_{in_flight}"] = statistics.median(rate for rate, _ in found)
        out[f"{name}_cpu_ms_{in_flight}"] = statistics.median(cpu for _, cpu in found)
    return out


async def ready_urls(pictures: EncodedPictures, refs: list[ImageRef]) -> list[str]:
    return [(await pictures.picture(ref).data_url()).decode() for ref in refs]


def endure(folder: Path, total: int) -> dict[str, float]:
    """Many examples in one ledger: memory after a tenth and at the end, then reopening."""
    store = Store(folder / "pictures")
    refs = draw_pictures(store, total // 50)
    path = folder / "endure.sqlite"
    rss: list[float] = []

    async def run(url: str) -> None:
        teacher = OpenAICompatible(base_url=(url,), model="mock", concurrency=64)
        done = 0
        with Ledger(path) as ledger:
            async with open_client(teacher, ledger) as client:

                async def work(number: int) -> None:
                    nonlocal done
                    await client.ask(request_for(number, pictures.picture(refs[number // 50])))
                    done += 1
                    if done in (total // 10, total):
                        rss.append(resident_mb())

                await run_all(range(total), work, width=teacher.width())

    with mock_server(0.02) as teacher_url, EncodedPictures(Gallery(None, store), ImageSettings()) as pictures:
        # The cache of pictures is full after a tenth, as it is in a long run.
        pictures.keep_bytes = 4 * 2**20
        started = time.perf_counter()
        asyncio.run(run(teacher_url))
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        with Ledger(path) as ledger:
            client = Client(OpenAICompatible(base_url=(teacher_url,), model="mock"), ledger)
            found = sum(
                client.known(request_for(number, pictures.picture(refs[number // 50]))) is not None
                for number in range(total)
            )
        reopened = time.perf_counter() - started
    assert found == total, (found, total)
    growth = rss[1] - rss[0]
    return {"reopen_100k_s": reopened * 100_000 / total, "rss_growth_mb": growth, "endured": total, "endure_s": seconds}


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def measure(quick: bool) -> dict[str, float]:
    result: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="mulcot-bench-") as name:
        folder = Path(name)
        for in_flight in (64, 256):
            result |= compare(folder, in_flight, 2.5 if quick else 6.0, 1 if quick else 3)
        result |= endure(folder, 5_000 if quick else 100_000)
    result["cpu_ms_per_request"] = max(result["ours_cpu_ms_64"], result["ours_cpu_ms_256"])
    return {key: round(value, 3) for key, value in sorted(result.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--quick", action="store_true", help="a look in half a minute; 5 000 examples, scaled up")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(serve(options.serve))
        return
    result = measure(options.quick)
    print(json.dumps(result) if options.json else "\n".join(f"{key:24} {value}" for key, value in result.items()))


if __name__ == "__main__":
    main()
