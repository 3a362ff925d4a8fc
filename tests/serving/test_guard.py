from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mulcot.errors import MulcotError
from mulcot.serving.api_keys import Tokens, add_token, new_token
from mulcot.serving.error_responses import Busy
from mulcot.serving.middleware import HEADERS
from mulcot.serving.rate_limit import MOST, Rate
from mulcot.serving.settings import Limits

from .fakes import Unfolding
from .running import Running, served

TOKEN = new_token("reader")
POST = {"text": "a post", "label_only": True}
POST_TEXT = {"text": "a post"}
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def open_service() -> Iterator[Running]:
    limits = Limits(body=50_000, bodies=60_000, header_seconds=0.5, body_seconds=0.5, reading_seconds=0.5)
    with served(Unfolding(), limits=limits, hostnames=("models.example.org",)) as running:
        yield running


@pytest.fixture(scope="module")
def closed_service() -> Iterator[Running]:
    with served(Unfolding(), tokens=Tokens(dict([TOKEN.line.split()]))) as running:
        yield running


def raw(service: Running, data: bytes, *, wait: float = 20) -> bytes:
    """What comes back to bytes that no client would send."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=wait) as connection:
        connection.sendall(data)
        out = b""
        while piece := connection.recv(65_536):
            out += piece
        return out


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8000", "[::1]:80", "MODELS.example.org", "10.1.2.3", "localhost."]
)
def test_known_hosts_and_addresses_are_served(open_service: Running, host: str) -> None:
    assert open_service.ask("/v1/predict", POST, headers={"Host": host})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "a@b"])
def test_a_name_that_somebody_else_made_point_here_is_refused(open_service: Running, host: str) -> None:
    status, found = open_service.json("/v1/predict", POST, headers={"Host": host})
    assert (status, found["error"]["code"]) == (403, "unknown_host")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_pages_of_other_sites_cannot_ask(open_service: Running, headers: dict[str, str], status: int) -> None:
    assert open_service.ask("/v1/predict", POST, headers=headers)[0] == status


def test_our_own_page_can_ask(open_service: Running) -> None:
    assert open_service.ask("/v1/predict", POST, headers={"Origin": open_service.url})[0] == 200


def test_two_hosts_are_no_host(open_service: Running) -> None:
    reply = raw(open_service, b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 400")


def test_every_reply_carries_the_headers_of_a_careful_site(open_service: Running) -> None:
    for path in ("/healthz", "/nowhere", "/v1/info"):
        headers = open_service.ask(path)[1]
        for name, value in HEADERS.items():
            assert headers[name] == value
        assert "server" not in headers
        assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer ", 401),
        (f"Bearer {TOKEN.secret}x", 401),
        (f"Bearer {TOKEN.line.split()[1]}", 401),
        (f"Basic {TOKEN.secret}", 401),
        (f"Bearer {TOKEN.secret}", 200),
        (f"bearer  {TOKEN.secret}", 200),
    ],
    # The token is another one in every process, and test processes must find the same names.
    ids=["nothing", "empty", "no token", "longer", "its hash", "another scheme", "right", "in small letters"],
)
def test_only_a_known_token_may_ask(closed_service: Running, sent: str | None, status: int) -> None:
    headers = {} if sent is None else {"Authorization": sent}
    for path, body in (("/v1/predict", POST), ("/v1/models", None), ("/v1/info", None), ("/metrics", None)):
        got, replied, _ = closed_service.ask(path, body, headers=headers)
        assert got == status, path
        assert ("www-authenticate" in replied) == (status == 401)


def test_health_needs_no_token(closed_service: Running) -> None:
    assert closed_service.ask("/healthz")[0] == 200


def test_a_token_is_nowhere_but_with_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    secret = add_token(path, "alice")
    add_token(path, "bob")
    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o77 == 0
    assert (Tokens.read(path).owner(secret), Tokens.read(path).owner("guess")) == ("alice", None)
    with pytest.raises(MulcotError, match="already has a token"):
        add_token(path, "alice")
    with pytest.raises(MulcotError, match="cannot name"):
        add_token(path, "a b")


@pytest.mark.parametrize("content", ["", "# nobody\n", "alice secret\n", f"a {'0' * 64}\na {'1' * 64}\n"])
def test_a_file_of_tokens_that_lets_nobody_or_anybody_in_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokens").write_text(content)
    with pytest.raises(MulcotError, match="tokens"):
        Tokens.read(tmp_path / "tokens")


def test_a_client_that_asks_too_much_has_to_wait() -> None:
    now = [0.0]
    rate = Rate(60, clock=lambda: now[0])
    rate.charge("a", 60)
    with pytest.raises(Busy) as refused:
        rate.charge("a", 2)
    assert refused.value.headers["Retry-After"] == "2"
    rate.charge("b")
    now[0] = 2.0
    rate.charge("a", 2)
    with pytest.raises(Busy):
        rate.charge("a")
    for number in range(MOST + 5):
        rate.charge(f"client {number}")
    assert len(rate._buckets) <= MOST


def test_the_rate_counts_posts_and_not_requests() -> None:
    with served(Unfolding(), rate=4) as service:
        assert service.ask("/v1/predict", {"items": [POST_TEXT] * 3})[0] == 200
        assert service.ask("/v1/predict", POST)[0] == 200
        status, headers, body = service.ask("/v1/predict", POST)
        assert (status, json.loads(body)["error"]["code"]) == (429, "rate_limit")
        assert int(headers["retry-after"]) >= 1
        assert service.ask("/v1/info")[0] == 200


def test_a_request_of_more_posts_than_the_rate_is_answered_once_and_paid_for() -> None:
    with served(Unfolding(), rate=4) as service:
        assert service.ask("/v1/predict", {"items": [POST_TEXT] * 12})[0] == 200
        status, headers, _ = service.ask("/v1/predict", POST)
        assert (status, int(headers["retry-after"]) > 100) == (429, True)


def test_a_body_beyond_the_limit_is_refused_by_its_header_alone(open_service: Running) -> None:
    started = time.monotonic()
    reply = raw(open_service, HEAD + b"Content-Length: 100000000\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 413")
    assert time.monotonic() - started < 10
    chunk = b"6800\r\n" + b"x" * 0x6800 + b"\r\n"
    assert raw(open_service, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 2).startswith(b"HTTP/1.1 413")
    assert open_service.ask("/v1/predict", POST)[0] == 200


def test_who_sends_too_much_can_read_that_it_was_too_much(open_service: Running) -> None:
    for size in (60_000, 3_000_000):
        status, found = open_service.json("/v1/predict", b" " * size)
        assert (status, found["error"]["code"]) == (413, "too_large")


def test_many_large_bodies_do_not_fill_the_memory(open_service: Running) -> None:
    with socket.create_connection(("127.0.0.1", open_service.port)) as other:
        other.sendall(HEAD + b"Content-Length: 49000\r\n\r\n" + b" " * 40_000)
        time.sleep(0.2)
        assert raw(open_service, HEAD + b"Content-Length: 45000\r\n\r\n").startswith(b"HTTP/1.1 429")
        assert open_service.ask("/v1/predict", POST)[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", b""), (HEAD[:20], b""), (HEAD, b""), (HEAD + b"Content-Length: 9\r\n\r\n{", b"HTTP/1.1 408")],
)
def test_a_slow_sender_is_not_waited_for(open_service: Running, sent: bytes, status: bytes) -> None:
    started = time.monotonic()
    try:
        reply = raw(open_service, sent)
    except ConnectionResetError:
        reply = b""
    assert reply.startswith(status)
    assert time.monotonic() - started < 10


def test_a_second_request_may_be_slow_to_begin_but_not_to_end(open_service: Running) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", open_service.port), timeout=5) as connection:
        for _ in range(2):
            connection.sendall(request)
            reply = b""
            while not reply.endswith(b"ok"):
                reply += connection.recv(65_536)
            time.sleep(0.1)
        connection.sendall(request[:20])
        assert _closed(connection)


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(10) == b""
    except ConnectionResetError:
        return True


def test_what_is_no_http_is_refused(open_service: Running) -> None:
    assert raw(open_service, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/..%2f..%2fapp.py", "/v1/%00"]
)
def test_no_path_leads_out(open_service: Running, path: str) -> None:
    status, _, body = open_service.ask(path)
    assert status in (400, 404)
    assert b"root:" not in body
    assert b"import" not in body


def test_the_log_says_who_and_how_long_and_never_what(closed_service: Running) -> None:
    closed_service.log.clear()
    headers = {"Authorization": f"Bearer {TOKEN.secret}"}
    closed_service.ask("/v1/predict?key=private", {"text": "very private", "id": "private-id"}, headers=headers)
    closed_service.ask("/private-path")
    time.sleep(0.1)  # lines are written when all has been sent
    first, second = closed_service.log
    assert (first["client"], first["route"], first["status"], first["method"]) == ("reader", "/v1/predict", 200, "POST")
    assert (second["route"], second["status"], second["client"]) == ("other", 404, "anonymous")
    assert "private" not in str(closed_service.log)
    assert TOKEN.secret not in str(closed_service.log)


def test_no_reply_waits_for_an_acknowledgement(open_service: Running) -> None:
    """Header and body are sent apart; with Nagle's algorithm on, each reply would take 40 ms more."""
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", open_service.port), timeout=5) as connection:
        connection.sendall(request)
        assert connection.recv(65_536)
        served_by = next(iter(open_service.server.server_state.connections))
        sock = served_by.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
