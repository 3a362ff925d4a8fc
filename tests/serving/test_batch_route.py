from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from typing import Any

import pytest
from PIL import Image

from mulcot.serving.error_responses import Busy
from mulcot.serving.upload_route import Places, UploadAnswerer

from .fakes import Unfolding, label_of
from .running import Running, served


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with served(Unfolding()) as service:
        yield service


def form(parts: Mapping[str, tuple[str, bytes] | str]) -> tuple[bytes, dict[str, str]]:
    out = b""
    for name, part in parts.items():
        head = f'--edge\r\nContent-Disposition: form-data; name="{name}"'
        if isinstance(part, str):
            out += f"{head}\r\n\r\n{part}\r\n".encode()
        else:
            out += f'{head}; filename="{part[0]}"\r\n\r\n'.encode() + part[1] + b"\r\n"
    return out + b"--edge--\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}


def send(running: Running, parts: Mapping[str, tuple[str, bytes] | str]) -> tuple[int, list[dict[str, Any]]]:
    body, headers = form(parts)
    status, _, raw = running.ask("/v1/batch", body, headers=headers)
    return status, [json.loads(line) for line in raw.splitlines()]


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, "PNG")
    return out.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_every_row_is_accounted_for_with_its_number(running: Running) -> None:
    table = "id,text,image\na,one,x.png\nb,two,gone.png\nc,three,bad.png\nd,,\ne,five,\nf,six\n"
    images = zipped({"deep/x.png": png(), "bad.png": b"no picture"})
    status, lines = send(running, {"table": ("t.csv", table.encode()), "images": ("p.zip", images)})
    assert status == 200
    assert (lines[0], lines[-1]) == ({"total": 6}, {"done": True})
    rows = {line["row"]: line for line in lines[1:-1]}
    assert sorted(rows) == [1, 2, 3, 4, 5, 6]
    assert len(lines) == 8
    assert [rows[n].get("id") for n in (1, 2, 3, 4, 5)] == ["a", "b", "c", "d", "e"]
    assert (rows[1]["label"], rows[1]["agrees"], rows[1]["text"]) == (label_of("one"), True, "one")
    assert rows[1]["fields"]["Text_analysis"] == "It says one."
    reasons = {number: row["rejected"]["reason"] for number, row in rows.items() if "rejected" in row}
    assert reasons == {2: "missing_image", 3: "not_an_image", 4: "empty_text", 6: "bad_columns"}


def test_label_only_leaves_out_the_chain(running: Running) -> None:
    _, lines = send(running, {"table": ("t.csv", b"text\none\n"), "label_only": "true"})
    assert lines[1]["label"] == label_of("one")
    assert lines[1]["chain"] is None


def test_a_named_picture_without_a_zip_rejects_its_row(running: Running) -> None:
    _, lines = send(running, {"table": ("t.csv", b"text,image\none,x.png\ntwo,\n")})
    found = {line["row"]: line.get("rejected", {}).get("reason") for line in lines[1:-1]}
    assert found == {1: "missing_image", 2: None}


@pytest.mark.parametrize(
    ("parts", "status", "said"),
    [
        ({"table": ("t.csv", b"a,b\n1,2\n")}, 422, "no column 'text'"),
        ({"table": ("t.xlsx", b"x")}, 422, "reads .csv"),
        ({"table": "no file"}, 400, "needs the file"),
        ({"images": ("p.zip", zipped({}))}, 400, "needs the file"),
        ({"table": ("t.csv", b"text\na\n"), "images": ("p.zip", b"no zip")}, 422, "not a zip file"),
        ({"table": ("t.csv", b"text\na\n"), "images": ("p.zip", zipped({"../a": b""}))}, 422, "leads out"),
        ({"table": ("t.csv", b"text\na\n"), "images": ("p.zip", zipped({"a.zip": b""}))}, 422, "archive inside"),
        ({"table": ("t.csv", b"text\n" + b"a\n" * 10_001)}, 413, "more than 10,000 rows"),
    ],
)
def test_an_upload_that_cannot_be_used_has_a_status_and_a_sentence(
    running: Running, parts: dict[str, Any], status: int, said: str
) -> None:
    got, lines = send(running, parts)
    assert got == status
    assert said in lines[0]["error"]["message"]
    assert "/tmp" not in lines[0]["error"]["message"]


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "multipart/form-data; boundary="])
def test_what_is_no_form_is_refused(running: Running, kind: str) -> None:
    status, _, raw = running.ask("/v1/batch", b"{}", headers={"Content-Type": kind})
    assert status == 400
    assert "error" in json.loads(raw)


def test_the_kind_of_a_form_may_be_written_in_any_case(running: Running) -> None:
    body, headers = form({"table": ("t.csv", b"text\na day\n")})
    headers = {"Content-Type": headers["Content-Type"].replace("multipart/form-data", "Multipart/Form-Data")}
    assert running.ask("/v1/batch", body, headers=headers)[0] == 200


def test_one_poisonous_row_does_not_harm_the_others(running: Running) -> None:
    table = b"text\n" + b"".join(b"fine %d\n" % n for n in range(6)) + b"poison\n"
    _, lines = send(running, {"table": ("t.csv", table)})
    rows = {line["row"]: line for line in lines[1:-1]}
    assert rows[7]["rejected"]["reason"] == "failed"
    assert "secret" not in json.dumps(lines)
    assert all("label" in rows[number] for number in range(1, 7))


def test_a_full_queue_makes_rows_wait_instead_of_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    # As if others filled the queue: more rows at a time than it holds.
    monkeypatch.setattr(UploadAnswerer, "window", property(lambda _: 8, lambda *_: None), raising=False)
    with served(Unfolding(seconds=0.001), queue=2, batch_size=2) as running:
        table = b"text\n" + b"".join(b"row %d\n" % n for n in range(12))
        _, lines = send(running, {"table": ("t.csv", table), "label_only": "1"})
    assert [line for line in lines if "rejected" in line] == []
    assert len(lines) == 14


def test_rows_leave_half_of_the_queue_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    with served(Unfolding(seconds=0.002), queue=8, batch_size=1) as running:
        admit = running.service.engine.admit

        def watched(*parts: Any, **named: Any) -> Any:
            seen.append(running.service.engine.waiting)
            return admit(*parts, **named)

        monkeypatch.setattr(running.service.engine, "admit", watched)
        send(running, {"table": ("t.csv", b"text\n" + b"a\n" * 30)})
    assert 1 < max(seen) < 4


def test_leaving_stops_the_work() -> None:
    with served(Unfolding(seconds=0.01)) as running:
        body, headers = form({"table": ("t.csv", b"text\n" + b"a row\n" * 2000)})
        connection = HTTPConnection("127.0.0.1", running.port, timeout=20)
        connection.request("POST", "/v1/batch", body, headers)
        reply = connection.getresponse()
        assert json.loads(reply.readline()) == {"total": 2000}
        reply.readline()
        reply.close()
        connection.close()
        until = time.monotonic() + 30
        while running.service.engine.waiting and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1)
        before = len(running.service.predictor.batches)  # type: ignore[attr-defined]
        time.sleep(0.5)
        assert len(running.service.predictor.batches) == before < 50  # type: ignore[attr-defined]


def test_only_so_many_uploads_are_worked_on_at_once() -> None:
    places = Places(1)
    with places.taken(), pytest.raises(Busy), places.taken():
        pass
    with places.taken():
        pass


def test_two_uploads_are_answered_beside_each_other(running: Running) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(len(send(running, {"table": ("t.csv", b"text\n" + b"a\n" * 30)})[1]))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [32, 32]
