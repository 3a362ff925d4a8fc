"""`mulcot init`: what it writes can be checked, counted and run as it stands, and its comments are true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mulcot.cli import app
from mulcot.cli.check import check
from mulcot.cli.starting import write_starter_folder
from mulcot.cli.starting.folder import TEMPLATES, about, class_of, quoted
from mulcot.errors import MulcotError
from mulcot.pipeline import run
from mulcot.progress import Reporter
from mulcot.recipe import Loaded, load_recipe
from mulcot.records import Example, read_lines
from mulcot.tasks import tasks


def begun(folder: Path, task: str = "sentiment") -> Loaded:
    write_starter_folder(folder, task)
    return load_recipe(folder / "recipe.yaml")


@pytest.mark.parametrize("task", tasks.names())
def test_every_start_is_ready_and_nothing_of_it_is_rejected(task: str, tmp_path: Path) -> None:
    loaded = begun(tmp_path / "mine", task)
    verdict = check(loaded, Reporter.silent())
    assert verdict.problems == ()
    assert verdict.statistics is not None
    assert all(finding.level != "error" for finding in verdict.statistics.findings())
    assert verdict.statistics.summary()["rejected"] == 0
    assert {name: split.count for name, split in verdict.statistics.splits.items()} == {
        "train": 24,
        "dev": 8,
        "test": 8,
    }
    assert loaded.recipe.task.name == task
    assert all(loaded.recipe.stage(name) for name in ("teacher", "assistant", "annotate", "student", "evaluate"))


@pytest.mark.parametrize("task", tasks.names())
def test_the_teacher_knows_the_examples(task: str, tmp_path: Path) -> None:
    loaded = begun(tmp_path / "mine", task)
    dataset, teacher = run(loaded, Reporter.silent(), last="teacher")
    assert dataset.record.counts["examples"] == 40
    accepted = len((loaded.folder / "2-teacher/rationales.jsonl").read_text("utf-8").splitlines())
    assert accepted == 24
    assert teacher.record.counts["failed"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("task", tasks.names())
def test_the_whole_run_ends_with_scores(task: str, tmp_path: Path) -> None:
    loaded = begun(tmp_path / "mine", task)
    run(loaded, Reporter.silent())
    scores = json.loads((loaded.folder / "6-evaluate/scores.json").read_text("utf-8"))
    assert set(scores["sets"]["test"]["models"]) >= {"assistant", "student", "majority"}
    page = re.search(r"open in a browser: `(.+)`", (tmp_path / "mine/README.md").read_text("utf-8"))
    assert page and Path(page[1]).is_file()


@pytest.mark.parametrize("task", tasks.names())
def test_what_stands_as_an_alternative_in_the_comments_is_a_valid_recipe(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_starter_folder(tmp_path / "mine", task)
    text = (tmp_path / "mine/recipe.yaml").read_text("utf-8")
    found = 0
    for key in ("backend", "backbone"):
        for match in re.finditer(rf"^  # ({key}:(?: .+|\n(?:  #   .+\n)+))", text, re.MULTILINE):
            written = "\n".join(f"  {line}" for line in re.sub(r"(?m)^  # ", "", match[1]).splitlines())
            start = text.rindex(f"\n  {key}: ", 0, match.start())
            changed = tmp_path / "changed.yaml"
            changed.write_text(f"{text[:start]}\n{written}{text[text.index(chr(10), start + 1) :]}", "utf-8")
            recipe = load_recipe(changed).recipe
            assert recipe != load_recipe(tmp_path / "mine/recipe.yaml").recipe
            found += 1
    assert found == (3 if task == "classification" else 4)


def test_every_comment_about_an_option_is_its_own_documentation(tmp_path: Path) -> None:
    write_starter_folder(tmp_path / "mine", "sentiment")
    written = (tmp_path / "mine/recipe.yaml").read_text("utf-8")
    options = re.findall(r'"([\w.]+)" \| about', (TEMPLATES / "recipe.yaml").read_text("utf-8"))
    assert len(options) > 6
    for option in options:
        section, _, name = option.partition(".")
        description = " ".join((class_of(section).model_fields[name].description or "").split())
        shown = about(option).replace("\n# ", " ").removeprefix("# ")
        assert shown and description.startswith(shown)
        assert re.search(r"\n *#".join(map(re.escape, about(option, 4).split("\n    #"))), written) or shown in written


def test_the_same_command_writes_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "a/mine", tmp_path / "b/mine"
    write_starter_folder(one, "sentiment")
    write_starter_folder(other, "sentiment")
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(names) == 43
    for name in names:
        if name.suffix != ".yaml" and name.suffix != ".md":
            assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes").write_text("dear diary")
    with pytest.raises(MulcotError, match="is not empty"):
        write_starter_folder(tmp_path / "mine", "sentiment")
    with pytest.raises(MulcotError, match="is not a folder"):
        write_starter_folder(tmp_path / "mine/notes", "sentiment")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes"]


def test_an_empty_folder_is_filled_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    write_starter_folder(tmp_path / "mine", "sentiment")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("name", ["a b", "x: y #z", "${HOME}", "it's", 'a "b"', "tür, {1}", "007", "new\nline"])
def test_a_folder_may_have_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = begun(Path(name), "classification")
    assert check(loaded, Reporter.silent()).problems == ()
    assert loaded.folder == Path(name) / "run"


def test_plain_paths_are_not_quoted() -> None:
    assert quoted(Path("data/mine"), "posts.jsonl") == "data/mine/posts.jsonl"
    assert quoted(Path("1.5")) == '"1.5"'


def test_the_command_says_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "my posts", "--task", "aspect_sentiment"])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-3:] == [
        "  mulcot check 'my posts/recipe.yaml'",
        "  mulcot data stats --recipe 'my posts/recipe.yaml'",
        "  mulcot run 'my posts/recipe.yaml'",
    ]
    rows = [json.loads(line) for line in (tmp_path / "my posts/posts.jsonl").read_text("utf-8").splitlines()]
    assert all(row["aspect"] in row["text"].lower() for row in rows)
    with pytest.raises(MulcotError, match="unknown task to begin with 'poetry'"):
        CliRunner().invoke(app, ["init", "other", "--task", "poetry"], catch_exceptions=False)


def test_questions_begin_with_two_small_models(tmp_path: Path) -> None:
    write_starter_folder(tmp_path / "mine", "multiple_choice", "multimodal-cot")
    loaded = load_recipe(tmp_path / "mine/recipe.yaml")
    verdict = check(loaded, Reporter.silent())
    assert (verdict.problems, verdict.notes) == ((), ())
    assert verdict.statistics is not None
    assert {name: split.rationales for name, split in verdict.statistics.splits.items()} == {
        "train": 24,
        "dev": 8,
        "test": 8,
    }
    run(loaded, Reporter.silent())
    scores = json.loads((loaded.folder / "6-evaluate/scores.json").read_text("utf-8"))
    assert {"answer", "text_only", "gold_rationale"} <= set(scores["sets"]["test"]["models"])
    page = re.search(r"open in a browser: `(.+)`", (tmp_path / "mine/README.md").read_text("utf-8"))
    assert page and Path(page[1]).is_file()
    with pytest.raises(MulcotError, match="begins with questions"):
        write_starter_folder(tmp_path / "other", "sentiment", "multimodal-cot")


def test_what_the_recipe_of_questions_offers_instead_is_valid(tmp_path: Path) -> None:
    write_starter_folder(tmp_path / "mine", "multiple_choice", "multimodal-cot")
    path = tmp_path / "mine/recipe.yaml"
    plain = path.read_text("utf-8")
    text = re.sub(r"(?m)^# (teacher:|  .+)$", r"\1", plain)
    text = re.sub(r"(?m)^  (extractor|backbone): .+\n  # (\1: .+)$", r"  \2", text)
    path.write_text(text, "utf-8")
    recipe = load_recipe(path).recipe
    assert recipe.teacher is not None and recipe.teacher.only_unexplained
    assert recipe.rationale is not None and recipe.rationale.backbone.model == "declare-lab/flan-alpaca-base"
    assert recipe.answer is not None and recipe.answer.backbone.max_target == 64
    assert recipe.rationale.training.batch_size == 8, "the published one, where only epochs are written"


def test_the_readme_names_every_file(tmp_path: Path) -> None:
    for task in tasks.names():
        write_starter_folder(tmp_path / task, task)
        text = (tmp_path / task / "README.md").read_text("utf-8")
        for path in (tmp_path / task).iterdir():
            assert path.name == "README.md" or path.name in text


def test_labels_are_spread(tmp_path: Path) -> None:
    for task in tasks.names():
        loaded = begun(tmp_path / task, task)
        run(loaded, Reporter.silent(), last="dataset")
        examples = read_lines(loaded.folder / "1-dataset/examples.jsonl", Example)
        labels = [example.label for example in examples if example.split == "train"]
        assert len(set(labels)) >= 3
        assert max(map(labels.count, labels)) <= 14
