from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from mulcot.errors import RecipeError
from mulcot.records import Example
from mulcot.tasks import Purpose
from mulcot.tasks.aspect_sentiment import AspectSentiment
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.sentiment import Sentiment
from mulcot.tasks.templates import fill, load_templates

DOCS = Path(__file__).parents[2] / "docs"
POST = Example(id="1", split="train", text="Rain {aspect} {{text}} {label}", aspect="Rome")


def write(folder: Path, text: str) -> Path:
    path = folder / "templates.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_own_texts_replace_the_built_in_ones_and_the_others_stay(tmp_path: Path) -> None:
    path = write(tmp_path, 'post: "Tweet: {text}"\nhint_ask: "It is {label}."\n')
    task, usual = Sentiment(templates=str(path)), Sentiment()
    assert task.prompt(POST, Purpose.CHAIN).post.startswith("Tweet: Rain")
    assert task.prompt(POST, Purpose.HINT, "neutral").ask.endswith("\n\nIt is neutral.")
    assert task.prompt(POST, Purpose.CHAIN).system == usual.prompt(POST, Purpose.CHAIN).system


def test_inserted_text_is_never_looked_at_again(tmp_path: Path) -> None:
    path = write(tmp_path, 'post: "{text} on {aspect}"')
    assert AspectSentiment(templates=str(path)).prompt(POST, Purpose.CHAIN).post == f"{POST.text} on Rome"


def test_a_line_whose_placeholders_are_all_empty_is_left_out() -> None:
    template = "A: {a}\nB: {b}\nno placeholder\nA and B: {a}{b}"
    assert fill(template, {"a": "1", "b": ""}) == "A: 1\nno placeholder\nA and B: 1"


def test_double_braces_write_a_placeholder_name_itself() -> None:
    assert fill('{{name}} {"json": {a}}', {"a": "1"}) == '{name} {"json": 1}'


def test_every_problem_is_reported_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path, "pots: x\npost: no text {colour}\nhint_ask: {}\nchain_ask: '<|im_end|> {text}'\nlabel_ask: ' '\n"
    )
    with pytest.raises(RecipeError) as caught:
        load_templates(path, AspectSentiment.built_in, AspectSentiment.placeholders)
    problems = caught.value.problems
    expected = [
        ":1 pots: unknown key. Did you mean 'post'?",
        ":2 post: unknown placeholder {colour}. Allowed: {aspect}, {caption}, {definitions}, {fields}, {format}",
        ":2 post: needs the placeholder {text}",
        ":2 post: needs the placeholder {aspect}",
        ":3 hint_ask: needs a text (got {})",
        ":4 chain_ask: unknown placeholder {text}",
        ":4 chain_ask: holds something that a tokenizer could take for a control token",
        ":5 label_ask: needs a text",
    ]
    assert len(problems) == len(expected)
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


def test_a_task_with_bad_templates_cannot_be_made(tmp_path: Path) -> None:
    path = write(tmp_path, "post: nothing\nhint_ask: nothing\n")
    with pytest.raises(ValidationError, match=r"templates\n.*post: needs .*; .*hint_ask: needs"):
        Sentiment(templates=str(path))
    with pytest.raises(ValidationError, match="cannot be read"):
        Sentiment(templates=str(tmp_path / "absent.yaml"))


def test_the_choices_of_a_question_must_be_shown(tmp_path: Path) -> None:
    path = write(tmp_path, 'post: "{text}"')
    with pytest.raises(ValidationError, match=r"needs the placeholder \{choices\}"):
        MultipleChoice(templates=str(path))


def test_the_fingerprint_follows_the_content_and_not_the_path(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    same = [Sentiment(templates=str(write(folder, 'post: "Tweet: {text}"'))) for folder in (one, two)]
    other = Sentiment(templates=str(write(two, 'post: "Post: {text}"')))
    assert same[0].fingerprint() == same[1].fingerprint()
    assert len({same[0].fingerprint(), other.fingerprint(), Sentiment().fingerprint()}) == 3


def test_a_file_edited_later_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, 'post: "Tweet: {text}"')
    task = Sentiment(templates=str(path))
    path.unlink()
    assert task.prompt(POST, Purpose.CHAIN).post.startswith("Tweet: ")


def test_the_example_in_the_docs_works() -> None:
    task = AspectSentiment(templates=str(DOCS / "templates" / "aspect_sentiment.yaml"))
    assert "Rome" in task.prompt(POST, Purpose.CHAIN).post
    assert task.prompt(POST, Purpose.HINT, "negative").ask.rstrip().endswith("negative")
    assert task.fingerprint() != AspectSentiment().fingerprint()
