from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mulcot.cli import app
from mulcot.cli.serve import _is_loopback, _name_of
from mulcot.errors import MulcotError
from mulcot.serving.api_keys import Tokens


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["serve", *arguments])
    if done.exception is not None:
        raise done.exception
    return done.output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_other_machines_are_not_served_without_tokens_unless_told(host: str, tmp_path: Path) -> None:
    with pytest.raises(MulcotError, match="other machines") as refused:
        run("--model", str(tmp_path), "--host", host)
    assert "--tokens" in refused.value.hint


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback_is_told_from_other_addresses(host: str, loopback: bool) -> None:
    assert _is_loopback(host) is loopback


def test_a_new_token_is_shown_once_and_its_hash_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    shown = run("--new-token", "alice", "--tokens", str(path))
    secret = shown.split()[1]
    assert secret not in path.read_text()
    assert Tokens.read(path).owner(secret) == "alice"
    alone = run("--new-token", "bob").splitlines()
    (tmp_path / "other").write_text(alone[1].removeprefix("line   "))
    assert Tokens.read(tmp_path / "other").owner(alone[0].split()[1]) == "bob"


def test_a_missing_model_and_a_missing_file_are_calm_errors(tmp_path: Path) -> None:
    with pytest.raises(MulcotError, match="--model is missing"):
        run()
    with pytest.raises(MulcotError, match="is not a folder"):
        run("--model", str(tmp_path / "nowhere"), "--port", "0")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--allow-image-hosts", "https://example.org/a"), "is no host name"),
        (("--examples", "posts.jsonl"), r"posts.jsonl:1 is no post"),
    ],
)
def test_options_are_checked_before_the_model_is_loaded(
    options: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("mulcot.cli.serve._load", refuse)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "posts.jsonl").write_text('{"image": "a.png"}\n')
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "backbone.json").write_text("{}")
    with pytest.raises(MulcotError, match=said):
        run("--model", "model", "--port", "0", *options)


def test_a_taken_port_is_told_before_the_model_is_loaded(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(MulcotError, match="cannot listen"):
            (tmp_path / "backbone.json").write_text("{}")
            run("--model", str(tmp_path), "--port", str(taken.getsockname()[1]))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/demo", "demo"),
        ("runs/demo/5-student", "demo"),
        ("runs/demo/5-student/model", "demo"),
        ("my-model", "my-model"),
    ],
)
def test_a_model_is_named_after_its_run_or_folder(path: str, name: str, tmp_path: Path) -> None:
    assert _name_of(tmp_path / path) == name


def test_a_model_mounted_at_the_root_still_has_a_name() -> None:
    assert _name_of(Path("/model")) == "model"
    assert _name_of(Path("/")) == "mulcot"
