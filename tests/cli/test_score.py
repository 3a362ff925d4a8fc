from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mulcot.cli import app
from mulcot.errors import DataError, MulcotError

KEYS = {
    "bleu", "meteor", "rouge_l", "distinct_1", "distinct_2", "similarity", "accuracy", "macro_f1", "weighted_f1"
}  # fmt: skip


def row(name: object, label: str | None = "positive", **more: object) -> dict[str, Any]:
    prediction = f'"Text_analysis": "Words of post {name} are glad."\n"Prediction": "{label}"'
    base = {
        "id": name,
        "prediction": prediction,
        "reference": f"The words of the post {name} are glad.",
        "label": label,
    }
    return {key: value for key, value in {**base, **more}.items() if value is not None}


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), "utf-8")
    return path


def scored(path: Path, *options: str) -> tuple[dict[str, Any], str]:
    result = CliRunner().invoke(
        app, ["score", str(path), "--json", "--no-similarity", *options], catch_exceptions=False
    )
    assert result.exit_code == 0
    return json.loads(result.stdout), result.stderr


def test_every_key_is_a_number_between_0_and_1_or_null_with_a_reason(tmp_path: Path) -> None:
    rows = [row(n, ("positive", "negative")[n % 2]) for n in range(6)]
    out, _ = scored(write(tmp_path / "p.jsonl", *rows), "--labels", "positive,neutral,negative")
    assert (out["rows"], out["rejected"], out["labels"]) == (6, 0, ["positive", "neutral", "negative"])
    for name in ("paper", "standard"):
        assert out[name].keys() >= KEYS
        for key in KEYS:
            value = out[name][key]
            if value is None:
                assert out[name]["notes"][key] == out["notes"][f"{name}.{key}"] != ""
            else:
                assert isinstance(value, float)
                assert 0 <= value <= 1
        assert out[name]["unparsed"] == 0
        assert out[name]["accuracy"] == 1
        assert out[name]["macro_f1"] == pytest.approx(2 / 3)
    assert out["paper"]["bleu"] != out["standard"]["bleu"]


def test_without_named_labels_those_of_the_file_are_used_and_that_is_said(tmp_path: Path) -> None:
    out, _ = scored(write(tmp_path / "p.jsonl", row(1, "good"), row(2, "Good"), row(3, "bad")))
    assert out["labels"] == ["bad", "good"]
    assert out["paper"]["macro_f1"] == 1
    assert "occurs in the file" in out["notes"]["labels"]


def test_one_label_alone_is_no_label_set(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", row(1), row(2))
    out, _ = scored(path)
    assert out["paper"]["accuracy"] is None
    assert "--labels" in out["paper"]["notes"]["accuracy"]
    out, _ = scored(path, "--labels", "positive,negative")
    assert out["paper"]["accuracy"] == 1


def test_bad_rows_are_counted_listed_and_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.jsonl",
        row(1),
        "not json",
        "[1]",
        "[" * 100_000,
        {"id": "x", "reference": "y"},
        {"prediction": "x", "reference": "y"},
        row(True),
        row(2, prediction=7),
        row(3, reference=" "),
        row(4, label=3),
        row("1", "negative"),
        row(5, "happy"),
        "",
        row(6, prediction=""),
    )
    out, _ = scored(path, "--labels", "positive,negative")
    listed = [(r["source"], r["reason"]) for r in out["rejected_rows"]]
    assert listed == [
        ("p.jsonl:2", "bad_json"),
        ("p.jsonl:3", "bad_json"),
        ("p.jsonl:4", "bad_json"),
        ("p.jsonl:5", "no_prediction"),
        ("p.jsonl:6", "no_id"),
        ("p.jsonl:7", "no_id"),
        ("p.jsonl:8", "no_prediction"),
        ("p.jsonl:9", "empty_reference"),
        ("p.jsonl:10", "bad_label"),
        ("p.jsonl:11", "duplicate_id"),
        ("p.jsonl:12", "unknown_label"),
    ]
    assert (out["rows"], out["rejected"], out["paper"]["unparsed"]) == (2, 11, 1)
    assert "p.jsonl:1 too" in out["rejected_rows"][-2]["detail"]
    assert "positive, negative" in out["rejected_rows"][-1]["detail"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [((), "is empty"), (("x", "{}"), "no usable row: 1 bad_json, 1 no_id"), (("", " "), "is empty")],
)
def test_a_file_without_a_usable_row_is_one_clear_error(tmp_path: Path, lines: tuple[str], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        scored(write(tmp_path / "p.jsonl", *lines))
    assert '"prediction"' in caught.value.hint


def test_a_file_that_is_not_there_and_labels_that_are_none_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        scored(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="the labels cannot be used"):
        scored(write(tmp_path / "p.jsonl", row(1)), "--labels", "one")
    ids = write(tmp_path / "ids.jsonl", *[row(n, f"free text {n}") for n in range(201)])
    with pytest.raises(DataError, match="201 different labels"):
        scored(ids)


def test_the_table_shows_floors_intervals_and_what_was_rejected(tmp_path: Path) -> None:
    bad = '{"id": "\\u001b[2J", "prediction": "x", "reference": ""}'
    path = write(tmp_path / "p\x1b.jsonl", *[row(n, ("positive", "negative")[n % 2]) for n in range(6)], bad)
    result = CliRunner().invoke(app, ["score", str(path), "--no-similarity"], catch_exceptions=False)
    lines = result.stdout.splitlines()
    accuracy = next(line for line in lines if line.startswith("accuracy"))
    assert accuracy.split()[1:5] == ["1.0000", "[1.000,", "1.000]", "(0.500)"]
    assert "6 rows scored, 1 rejected" in lines[0]
    assert "sacrebleu nrefs:1" in result.stdout
    assert "as published" in result.stdout
    assert "rejected: 1 empty_reference" in result.stderr
    assert "\x1b" not in result.stdout + result.stderr


def test_the_command_works_without_torch_and_never_asks_the_network(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", *[row(n, ("positive", "negative")[n % 2]) for n in range(4)])
    code = (
        "import sys, socket\n"
        "class Without:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] in ('torch', 'transformers'): raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "def refuse(*a): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        f"sys.argv = ['mulcot', 'score', {str(path)!r}, '--json']\n"
        "from mulcot.cli import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["paper"]["similarity"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--labels", "a,a"), "the labels cannot be used"),
        (("--wordnet", "nowhere"), "--wordnet: nowhere is not a folder"),
        (("--similarity-model", "nowhere"), "--similarity-model: nowhere is not a folder"),
        (("--similarity-model", ".", "--no-similarity"), "exclude each other"),
    ],
)
def test_options_are_checked_before_the_file_is_read(
    options: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the file was read")

    monkeypatch.setattr("mulcot.cli.score._read", refuse)
    result = CliRunner().invoke(app, ["score", "rows.jsonl", *options])
    assert isinstance(result.exception, MulcotError)
    assert said in str(result.exception)
