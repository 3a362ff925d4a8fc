import json
from pathlib import Path

import pytest

from mulcot.datasets import datasets
from mulcot.errors import RecipeError, UnknownName
from mulcot.recipe import build_plugin, json_schema, load_recipe, parse_assignments
from mulcot.tasks import tasks

GOOD = """\
version: 1
seed: 3
dataset:
  name: files
  path: ${RECIPE_TEST_DATA}/x.jsonl
"""


@pytest.fixture(autouse=True)
def data_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECIPE_TEST_DATA", str(tmp_path))


def write(folder: Path, text: str) -> Path:
    path = folder / "r.yaml"
    path.write_text(text, "utf-8")
    return path


def problems(path: Path, overrides: list[str] | None = None) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    return list(caught.value.problems)


def test_a_recipe_is_typed_and_its_variables_are_filled_in(tmp_path: Path) -> None:
    loaded = load_recipe(write(tmp_path, GOOD))
    assert loaded.recipe.seed == 3
    assert str(tmp_path) in str(loaded.recipe.dataset)
    assert loaded.folder == Path("runs/r")


def test_what_is_written_keeps_variables_and_hides_credentials(tmp_path: Path) -> None:
    loaded = load_recipe(write(tmp_path, GOOD), ["output=http://u:secret@h/x"])
    assert "${RECIPE_TEST_DATA}" in loaded.text
    assert str(tmp_path) not in loaded.text
    assert "secret" not in loaded.text


def test_a_missing_task_becomes_the_datasets_usual_one_visibly(tmp_path: Path) -> None:
    loaded = load_recipe(write(tmp_path, GOOD.replace("files", "twitter").replace("path:", "root:")))
    assert loaded.recipe.task.name == "aspect_sentiment"
    assert "name: aspect_sentiment" in loaded.text


def test_all_problems_come_together_with_line_and_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECIPE_TEST_UNSET", raising=False)
    text = "version: 2\nsede: 3\nseed: -1\noutput: ${RECIPE_TEST_UNSET}\ntask: {name: sentimental}\n"
    text += "dataset:\n  name: files\n  pth: x\n  splits: {dev: 2, tset: 0.1}\n"
    path = write(tmp_path, text)
    found = problems(path)
    assert [problem.removeprefix(f"{path}:").partition(": ")[0] for problem in found] == [
        "1 version",
        "2 sede",
        "3 seed",
        "4 output",
        "5 task",
        "6 dataset.path",
        "8 dataset.pth",
        "9 dataset.splits.dev",
        "9 dataset.splits.tset",
    ]
    together = "\n".join(found)
    for hint in ("Did you mean 'seed'?", "Did you mean 'path'?", "Did you mean 'test'?", "Did you mean 'sentiment'?"):
        assert hint in together
    assert "RECIPE_TEST_UNSET is not set" in together


def test_an_expanded_secret_is_not_shown_in_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPE_TEST_SECRET", "hunter2")
    found = problems(write(tmp_path, GOOD), ["seed=${RECIPE_TEST_SECRET}"])
    assert "hunter2" not in "".join(found)
    assert "${RECIPE_TEST_SECRET}" in "".join(found)


def test_overrides_reach_into_sections(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD), ["dataset.limit=5", "dataset.splits.seed=9", "seed=8"]).recipe
    assert (recipe.dataset.limit, recipe.dataset.splits.seed, recipe.seed) == (5, 9, 8)


def test_an_unknown_plugin_option_on_the_command_line_is_explained() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'root'"):
        build_plugin(datasets, {"name": "twitter", **parse_assignments(["rot=x"])}, "command line")
    with pytest.raises(UnknownName, match="Did you mean 'twitter'"):
        build_plugin(datasets, {"name": "twiter"}, "command line")


def test_equal_settings_have_equal_fingerprints_and_others_do_not(tmp_path: Path) -> None:
    one = load_recipe(write(tmp_path, GOOD)).recipe
    two = load_recipe(write(tmp_path, "# a comment\n" + GOOD)).recipe
    other = load_recipe(write(tmp_path, GOOD), ["dataset.limit=1"]).recipe
    assert one.dataset.fingerprint() == two.dataset.fingerprint() != other.dataset.fingerprint()


def test_the_schema_lists_every_plugin_with_documented_options() -> None:
    schema = json_schema()
    assert set(schema["required"]) == {"version", "dataset"}
    for key, registry in (("task", tasks), ("dataset", datasets)):
        names, *references = schema["properties"][key]["oneOf"]
        assert set(names["enum"]) == set(registry.names()), "a name alone is a plug-in with its usual options"
        options = [schema["$defs"][ref["$ref"].rpartition("/")[2]] for ref in references]
        assert {option["properties"]["name"]["const"] for option in options} == set(registry.names())
        for option in options:
            for name, field in option["properties"].items():
                described = name == "name" or "description" in field or "$ref" in json.dumps(field)
                assert described, f"{key} {option['title']}.{name} has no documentation"


def test_every_reference_of_the_schema_resolves() -> None:
    schema = json_schema()
    text = json.dumps(schema)
    references = {part.split('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]}
    assert references <= set(schema["$defs"])
    assert text.count('"$defs"') == 1


def test_a_file_that_is_no_recipe_is_a_clear_error(tmp_path: Path) -> None:
    assert "cannot be read" in problems(tmp_path / "absent.yaml")[0]
    assert "is empty" in problems(write(tmp_path, ""))[0]
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    assert problems(tmp_path / "binary.yaml")
    (tmp_path / "large.yaml").write_bytes(b"a: 1\n" * 300_000)
    assert "more than" in problems(tmp_path / "large.yaml")[0]


def test_no_message_shows_what_a_variable_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPE_TEST_SECRET", "hunter2")
    text = "version: 1\ntask: {name: '${RECIPE_TEST_SECRET}'}\ndataset: {name: '${RECIPE_TEST_SECRET}'}\n"
    text += "teacher: {backend: {name: openai_compatible, model: x, base_url: ['ftp://${RECIPE_TEST_SECRET}']}}\n"
    found = "\n".join(problems(write(tmp_path, text)))
    assert "hunter2" not in found
    assert "unknown task '${RECIPE_TEST_SECRET}'" in found
    assert 'an address begins with http:// or https:// and a host (got "ftp://${RECIPE_TEST_SECRET}")' in found


def test_one_mistake_is_one_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECIPE_TEST_UNSET", raising=False)
    assert problems(write(tmp_path, "version: 1\n")) == [f"{tmp_path}/r.yaml dataset: is missing"]
    assert len(problems(write(tmp_path, "version: 1\ndataset: twiter\n"))) == 1
    assert len(problems(write(tmp_path, "version: 1\ndataset: {name: '${RECIPE_TEST_UNSET}'}\n"))) == 1
    backend = "teacher: {backend: {name: openai_compatible, model: x, base_url: 'http://u:p@h'}, splits: [tarin]}\n"
    found = problems(write(tmp_path, f"version: 1\ndataset: synthetic\n{backend}"))
    assert len(found) == 2
    assert all("http://***@h" in problem or "tarin" in problem for problem in found)


def test_a_task_is_found_for_a_dataset_named_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPE_TEST_DATASET", "synthetic_science")
    loaded = load_recipe(write(tmp_path, "version: 1\ndataset: ${RECIPE_TEST_DATASET}\n"))
    assert loaded.recipe.task.name == "multiple_choice"
    assert "synthetic_science" not in loaded.text


def test_shares_of_the_splits_leave_something_to_train_on(tmp_path: Path) -> None:
    found = problems(write(tmp_path, GOOD + "  splits: {dev: 0.6, test: 0.4}\n"))
    assert "dev and test together must stay below 1" in found[0]


def test_the_schema_takes_what_a_recipe_takes(tmp_path: Path) -> None:
    schema = json_schema()
    assert {"$ref": "#/$defs/Variable"} in schema["properties"]["seed"]["anyOf"]
    url = schema["$defs"]["OpenAICompatible"]["properties"]["base_url"]
    assert [option["type"] for option in url["anyOf"]] == ["string", "array"]


@pytest.mark.parametrize(
    "address", ["http://u:hunter2@h:99999/v1", "http://h/v1?key=hunter2", "ftp://u:hunter2@h?k=hunter2"]
)
def test_no_problem_shows_the_secret_of_an_address(tmp_path, address):
    path = tmp_path / "recipe.yaml"
    backend = f"{{name: openai_compatible, model: m, base_url: {json.dumps(address)}}}"
    path.write_text(f"version: 1\ntask: sentiment\ndataset: synthetic\nteacher: {{backend: {backend}}}\n", "utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert "address" in str(caught.value)
    assert "hunter2" not in str(caught.value)
