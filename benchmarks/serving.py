"""The service around the tiny student: batches against one at a time, what HTTP costs, how soon a stream begins.

    python benchmarks/serving.py [--json] [--requests N] [--clients N] [--chain N] [--rounds N]

label_speedup     requests per second with batches of 16 over batches of 1, labels alone
joint_speedup     the same with chains of `--chain` tokens
overhead_ms_p50   one client: a request over HTTP less the same question to the predictor in the process, asked in turn
first_share       time until the probabilities are there in a stream, over the time until the whole answer
failures          requests that were not answered with 200

Two services run side by side, each in a process of its own, and are asked in alternating rounds, so that whatever else
the machine does hits both alike. Every client asks again as soon as it has its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import http.client
import io
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import aiohttp
import torch

from mulcot.backbones.tiny import Tiny
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.predict.posts import Post
from mulcot.predict.predictor import JointPredictor
from mulcot.serving.app import build
from mulcot.serving.server import bind, make_server
from mulcot.serving.settings import Serving
from mulcot.tasks.saved_task import SavedTask
from mulcot.tasks.sentiment import Sentiment
from mulcot.world.picture import paint
from mulcot.world.posts import make_post

KINDS = {"label": True, "joint": False}


def student(chain: int) -> JointPredictor:
    torch.set_num_threads(1)
    model = Tiny(size="student", lora=None).load(trainable=False)
    return JointPredictor(model, SavedTask(Sentiment()), decoding=Decoding(max_tokens=chain))


def question(number: int) -> tuple[str, bytes]:
    post = make_post(1, "test", number)
    out = io.BytesIO()
    paint(post.scene, 84).save(out, "PNG")
    return post.text, out.getvalue()


def body(number: int, *, label_only: bool) -> bytes:
    text, image = question(number)
    return json.dumps({"text": text, "image": base64.b64encode(image).decode(), "label_only": label_only}).encode()


def serve(batch_size: int, chain: int) -> None:
    """The child: a service until its input ends."""
    serving = Serving(port=0, batch_size=batch_size, queue=256, deadline=120)
    with bind(serving) as listener:
        server = make_server(build(student(chain), serving), serving)
        print(listener.getsockname()[1], flush=True)

        def wait() -> None:
            sys.stdin.read()
            server.should_exit = True

        threading.Thread(target=wait, daemon=True).start()
        server.run(sockets=[listener])


@contextmanager
def service(batch_size: int, chain: int) -> Iterator[int]:
    command = [sys.executable, __file__, "--serve", str(batch_size), "--chain", str(chain)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        yield int(child.stdout.readline())
        assert child.stdin is not None
        child.stdin.close()


async def load(port: int, bodies: list[bytes], clients: int) -> tuple[float, list[float], int]:
    """Seconds for all requests, milliseconds of each, and how many failed."""
    waiting, times, failures = iter(bodies), [], 0

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal failures
        for one in waiting:
            started = time.perf_counter()
            headers = {"Content-Type": "application/json"}
            async with session.post(f"http://127.0.0.1:{port}/v1/predict", data=one, headers=headers) as reply:
                await reply.read()
                failures += reply.status != 200
            times.append(1000 * (time.perf_counter() - started))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=clients)) as session:
        started = time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(clients)))
        return time.perf_counter() - started, times, failures


def compare(ports: dict[int, int], args: argparse.Namespace) -> dict[str, Any]:
    """Both services under the same load, in turn."""
    out: dict[str, Any] = {"failures": 0}
    for kind, label_only in KINDS.items():
        bodies = [body(number, label_only=label_only) for number in range(args.requests)]
        seconds: dict[int, list[float]] = {size: [] for size in ports}
        times: dict[int, list[float]] = {size: [] for size in ports}
        for number in range(args.rounds + 1):
            for size, port in ports.items():
                # The first round only warms up.
                took, each, failures = asyncio.run(load(port, bodies if number else bodies[:32], args.clients))
                out["failures"] += failures
                if number:
                    seconds[size].append(took)
                    times[size] += each
        rate = {size: args.requests / statistics.median(values) for size, values in seconds.items()}
        out[f"{kind}_speedup"] = rate[16] / rate[1]
        for size, name in ((16, "batches"), (1, "one_at_a_time")):
            cuts = statistics.quantiles(times[size], n=100)
            out[f"{kind}_{name}"] = {"per_second": rate[size], "p50_ms": cuts[49], "p99_ms": cuts[98]}
    return out


def alone(chain: int, rounds: int = 60) -> dict[str, float]:
    """One client, in one process with the service: what HTTP adds, and when a stream begins."""
    predictor, serving = student(chain), Serving(port=0)
    with bind(serving) as listener:
        server = make_server(build(predictor, serving), serving)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1])
        inside, outside, first, whole = [], [], [], []
        for number in range(rounds):
            text, image = question(number)
            raw = body(number, label_only=True)
            started = time.perf_counter()
            predictor.predict([Post(text=text, image=image)], label_only=True)
            between = time.perf_counter()
            ask(connection, "/v1/predict", raw).read()
            inside.append(1000 * (between - started))
            outside.append(1000 * (time.perf_counter() - between))
        for number in range(rounds // 4):
            started = time.perf_counter()
            reply = ask(connection, "/v1/predict/stream", body(number, label_only=False))
            reply.readline()
            first.append(1000 * (time.perf_counter() - started))
            reply.read()
            whole.append(1000 * (time.perf_counter() - started))
        server.should_exit = True
        thread.join()
    p50 = statistics.median
    return {
        "overhead_ms_p50": p50(outside) - p50(inside),
        "predictor_ms_p50": p50(inside),
        "http_ms_p50": p50(outside),
        "first_ms_p50": p50(first),
        "whole_ms_p50": p50(whole),
        "first_share": p50(first) / p50(whole),
    }


def ask(connection: http.client.HTTPConnection, path: str, raw: bytes) -> http.client.HTTPResponse:
    connection.request("POST", path, raw, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    return reply


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--chain", type=int, default=64, help="tokens of a chain")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--serve", type=int, metavar="SIZE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.chain)
        return
    result: dict[str, Any] = {"requests": args.requests, "clients": args.clients, "chain_tokens": args.chain}
    result |= alone(args.chain)
    with ExitStack() as stack:
        result |= compare({size: stack.enter_context(service(size, args.chain)) for size in (16, 1)}, args)
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<24} {value}")


if __name__ == "__main__":
    main()
