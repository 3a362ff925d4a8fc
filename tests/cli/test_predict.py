from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.cli import app
from mulcot.errors import MulcotError
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.saved_task import SavedTask, save_task
from mulcot.tasks.sentiment import Sentiment

torch.set_num_threads(1)
SHORT = ("--max-tokens", "4", "--batch-size", "3")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    QwenVL.demo(folder / "base").load().save(folder / "model")
    save_task(SavedTask(Sentiment()), folder / "model")
    return folder / "model"


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (40, 40), "teal").save(tmp_path / "pictures" / "a.png")
    rows = [
        {"id": "a", "text": "what a day", "image": "a.png"},
        {"id": "b", "text": "lost", "image": "gone.png"},
        {"text": ""},
        {"text": "twice", "label": "some label of another task"},
        {"text": "twice"},
        {"id": "e", "text": "out", "image": "../../secret.png"},
    ]
    lines = [json.dumps(row) for row in rows]
    lines.insert(3, "{broken")
    (tmp_path / "posts.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "posts.jsonl"


def call(model: Path, *words: object) -> Result:
    return CliRunner().invoke(app, ["predict", "--model", str(model), *SHORT, *map(str, words)])


def on_file(model: Path, posts: Path, *words: object) -> Result:
    images = posts.parent / "pictures"
    return call(model, "--input", posts, "--output", posts.parent / "out.jsonl", "--images", images, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--choices", "a", "b", "--choices", "c", "d"), "the order of the choices is not clear"),
        (("--chioces", "a"), "no such option: --chioces"),
        (("--choices", "a", "--labelonly"), "no such option: --labelonly"),
        (("a", "b"), "'a' belongs to no option"),
        (("--choices", "-1", "-2", "-.5"), "this model reads no choices"),
    ],
)
def test_choices_keep_their_order_or_are_refused(model: Path, words: tuple[str, ...], said: str) -> None:
    assert said in str(call(model, "--question", "Which?", *words).exception)


def test_one_answer_is_printed_and_not_written(model: Path, tmp_path: Path) -> None:
    refused = call(model, "--text", "what a day", "--output", tmp_path / "x.jsonl")
    assert "--output is for --input" in str(refused.exception)


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_table_may_call_its_texts_questions(model: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"rows.{kind}"
    path.write_text({"csv": "id,question\na,Which?\n", "json": '[{"id": "a", "question": "Which?"}]'}[kind])
    assert call(model, "--input", path, "--output", tmp_path / "out.jsonl").exit_code == 0
    (row,) = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines())
    assert (row["id"], "reason" in row) == ("a", False)


def test_a_post_may_have_several_pictures(model: Path, posts: Path) -> None:
    picture = posts.parent / "pictures" / "a.png"
    Image.new("RGB", (30, 60), "red").save(other := posts.parent / "b.png")
    texts = [
        call(model, "--text", "what a day", *(word for path in paths for word in ("--image", path)), "--json").stdout
        for paths in ([picture], [picture, other])
    ]
    one, two = (json.loads(text)["logprobs"] for text in texts)
    assert one != two


@pytest.mark.parametrize(
    ("words", "unread"),
    [(("--choices", "good", "bad"), "choices"), (("--context", "a hint"), "context"), (("--aspect", "it"), "aspect")],
)
def test_what_the_model_does_not_read_is_refused(model: Path, words: tuple[str, ...], unread: str) -> None:
    refused = call(model, "--text", "what a day", *words)
    assert isinstance(refused.exception, MulcotError)
    assert f"this model reads no {unread}; it reads text, caption" in str(refused.exception)


def test_one_post_is_answered_for_people_and_for_programs(model: Path, posts: Path) -> None:
    picture = posts.parent / "pictures" / "a.png"
    person = call(model, "--text", "what a day", "--image", picture)
    program = call(model, "--text", "what a day", "--image", picture, "--json")
    found = json.loads(program.stdout)
    assert person.exit_code == program.exit_code == 0
    assert f"label    {found['label']}" in person.stdout
    assert set(found["probabilities"]) == {"positive", "neutral", "negative"}
    assert found["cut"] is True
    assert "chain" not in json.loads(call(model, "--text", "what a day", "--label-only", "--json").stdout)


def test_every_row_of_a_file_is_answered_or_rejected_in_its_place(model: Path, posts: Path) -> None:
    result = on_file(model, posts, "--json")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (posts.parent / "out.jsonl").read_text("utf-8").splitlines()]
    assert [line["source"] for line in lines] == [f"posts.jsonl:{n}" for n in range(1, 8)]
    found = [line.get("reason", "answered") for line in lines]
    assert found == ["answered", "missing_image", "empty_text", "bad_json", "answered", "answered", "outside_root"]
    assert lines[4]["logprobs"] == pytest.approx(lines[5]["logprobs"], abs=1e-5)
    counts = json.loads(result.stdout)
    assert (counts["rows"], counts["answered"], sum(counts["rejected"].values())) == (7, 3, 4)


def test_a_file_is_continued_only_with_the_same_model_and_settings(model: Path, posts: Path) -> None:
    on_file(model, posts)
    out = posts.parent / "out.jsonl"
    whole = out.read_bytes()
    out.write_bytes(whole[:700])
    assert on_file(model, posts).exit_code == 0
    assert out.read_bytes() == whole
    other = on_file(model, posts, "--label-only")
    assert isinstance(other.exception, MulcotError)
    assert "other settings" in str(other.exception)
    assert on_file(model, posts, "--label-only", "--force").exit_code == 0


def test_questions_take_their_choices_one_after_the_other(posts: Path, tmp_path: Path) -> None:
    QwenVL.demo(tmp_path / "base").load().save(tmp_path / "asker")
    save_task(SavedTask(MultipleChoice()), tmp_path / "asker")
    question = ("--question", "which?", "--choices", "one thing", "two things", "three", "--context", "hint")
    found = json.loads(call(tmp_path / "asker", *question, "--json").stdout)
    assert list(found["probabilities"]) == ["A", "B", "C"]
    captioned = json.loads(call(tmp_path / "asker", *question, "--caption", "two red flags", "--json").stdout)
    assert captioned["probabilities"] != found["probabilities"]
    shown = call(tmp_path / "asker", *question, "--label-only").stdout
    assert f"label    {found['label']}  " in shown
    assert all(f" {letter}  {choice}\n" in shown for letter, choice in zip("ABC", question[3:6], strict=True))
    rows = tmp_path / "questions.jsonl"
    rows.write_text(json.dumps({"id": "q", "question": "which?", "choices": ["x", "y"]}) + "\n")
    assert call(tmp_path / "asker", "--input", rows, "--output", tmp_path / "o.jsonl").exit_code == 0
    assert list(json.loads((tmp_path / "o.jsonl").read_text())["probabilities"]) == ["A", "B"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "not clear"),
        (["--text", "a", "--question", "b"], "not clear"),
        (["--text", "a", "b"], "belongs to no option"),
        (["--input", "x.jsonl"], "--output is missing"),
        (["--input", "x.jsonl", "--output", "y", "--text", "a"], "single post"),
        (["--text", "a", "--label-only", "--chain-only"], "exclude"),
        (["--text", "a", "--image", "gone.png"], "missing_image"),
        (["--text", " "], "empty_text"),
        (["--input", "gone.jsonl", "--output", "y"], "gone.jsonl"),
    ],
)
def test_unclear_wishes_are_refused_with_a_reason(
    model: Path, words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(model, *words)
    assert isinstance(result.exception, MulcotError)
    assert said in str(result.exception)


def test_the_input_is_never_written_over(model: Path, posts: Path) -> None:
    before = posts.read_bytes()
    result = call(model, "--input", posts, "--output", posts)
    assert "input itself" in str(result.exception)
    assert posts.read_bytes() == before


def test_what_a_model_writes_cannot_steer_the_terminal() -> None:
    from mulcot.cli.predict import _lines
    from mulcot.records import Prediction

    shown = "\n".join(_lines(Prediction(id="p", label="a", chain="\x1b[2J wiped", chain_problem="no_prediction")))
    assert "\x1b" not in shown
    assert "\\x1b[2J wiped" in shown


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("mulcot.cli.predict._load", refuse)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--columns.text", "body"), "no such option: --columns.text"),
        (("--labelonly",), "no such option: --labelonly"),
        (("-x",), "no such option: -x"),
        (("a",), "'a' belongs to no option"),
        (("-3",), "'-3' belongs to no option"),
        (("--question", "Which?"), "--question belongs to a single post"),
        (("--text", ""), "--text belongs to a single post"),
        (("--image", "a.png"), "--image belongs to a single post"),
        (("--choices", "a", "b"), "--choices belongs to a single post"),
        (("--caption", "a dog"), "--caption belongs to a single post"),
        (("--chain-only", "--generate"), "--generate and --chain-only exclude each other"),
        (("--images", "nowhere"), "nowhere does not exist"),
    ],
)
@pytest.mark.usefixtures("unloaded")
def test_options_that_do_not_go_with_a_file_are_refused_before_the_model_is_loaded(
    tmp_path: Path, posts: Path, words: tuple[str, ...], said: str
) -> None:
    refused = call(tmp_path, "--input", posts, "--output", tmp_path / "out.jsonl", *words)
    assert isinstance(refused.exception, MulcotError)
    assert said in str(refused.exception)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", "body,photo\nwhat a day,a.png\n", "rows.csv has no column 'text' or 'question'"),
        ("rows.jsonl", '{"body": "what a day"}\n' * 3, "no 'text' among the columns body"),
        ("rows.json", '[{"body": "what a day"}]', "no 'text' among the columns body"),
        ("rows.txt", "what a day", "the format is unknown"),
        ("gone.csv", None, "gone.csv does not exist"),
    ],
)
@pytest.mark.usefixtures("unloaded")
def test_a_file_that_cannot_be_asked_is_refused_before_the_model_is_loaded(
    tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, "utf-8")
    refused = call(tmp_path, "--input", tmp_path / name, "--output", tmp_path / "out.jsonl")
    assert isinstance(refused.exception, MulcotError)
    assert said in str(refused.exception)
    hint = refused.exception.hint
    assert "columns." not in hint and "`format`" not in hint, "a hint names what exists here"
    assert ("`text`" in hint) == ("column" in said)


@pytest.mark.usefixtures("unloaded")
def test_an_output_that_cannot_be_written_is_refused_before_the_model_is_loaded(tmp_path: Path, posts: Path) -> None:
    for output, said in ((tmp_path, "is a folder"), (posts / "out.jsonl", "is not a folder"), (posts, "input itself")):
        assert said in str(call(tmp_path, "--input", posts, "--output", output).exception)


@pytest.mark.usefixtures("unloaded")
def test_options_of_a_file_are_refused_with_a_single_post(tmp_path: Path) -> None:
    assert "--images is for --input" in str(call(tmp_path, "--text", "a", "--images", tmp_path).exception)
    assert "--force is for --input" in str(call(tmp_path, "--text", "a", "--force").exception)


def test_rows_without_texts_among_others_are_rejected_in_their_place(model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"body": "lost"}\n{"text": "what a day"}\n')
    assert call(model, "--input", rows, "--output", tmp_path / "out.jsonl").exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [line.get("reason") for line in lines] == ["missing_column", None]
