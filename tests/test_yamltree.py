from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mulcot.errors import RecipeError
from mulcot.yamltree import expand, merge, override, parse_assignments, parse_tree, redact


def test_a_problem_is_placed_on_its_line() -> None:
    tree = parse_tree("a: 1\nb:\n  c: 2\n", "r.yaml")
    assert tree.place(("b", "c")) == "r.yaml:3 b.c"
    assert tree.place(("b", "c", 0, "d")) == "r.yaml:3 b.c[0].d"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\na: 2\n", "stands twice"),
        ("- a\n", "must be a mapping"),
        ("", "is empty"),
        ("a: [1, 2\n", "line 2"),
        ("a: !!python/object/apply:os.system [id]\n", "sequence"),
        ("? [a, b]\n: 1\n", "plain word"),
        ("a: \x07\n", "special characters"),
        ("a: &a [*a]\n", "nested more than"),
    ],
)
def test_a_bad_file_is_refused_with_a_reason(text: str, complaint: str) -> None:
    if "python/object" in text:
        assert parse_tree(text, "r.yaml").data == {"a": ["id"]}, "a tag must never construct anything"
        return
    with pytest.raises(RecipeError, match=complaint):
        parse_tree(text, "r.yaml")


def test_a_bomb_of_anchors_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(RecipeError, match="more than"):
        parse_tree("\n".join(lines), "r.yaml")


def test_overrides_are_typed_as_in_yaml() -> None:
    assert parse_assignments(["a.b=1", "a.c=true", "d=x=y", "e=[1, 2]", "f="]) == {
        "a": {"b": 1, "c": True},
        "d": "x=y",
        "e": [1, 2],
        "f": "",
    }


def test_every_malformed_override_is_named() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_assignments(["a", "b..c=1", "x=1", "x.y=2", "z=[1"])
    assert len(caught.value.problems) == 4


def test_merging_replaces_values_and_joins_mappings() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}, "d": {"e": 1}}) == {
        "a": {"b": 9, "c": 2},
        "d": {"e": 1},
    }


def test_an_empty_mapping_clears_and_what_follows_adds() -> None:
    base = {"a": {"b": {"c": 1}, "d": 2}}
    assert override(base, ["a.b={}"]) == {"a": {"b": {}, "d": 2}}
    assert override(base, ["a={}", "a.e=3"]) == {"a": {"e": 3}}
    assert override(base, ["a.e=3", "a={}"]) == {"a": {}}
    assert base == {"a": {"b": {"c": 1}, "d": 2}}


def test_variables_are_filled_in_and_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBER", "7")
    monkeypatch.setenv("FOLDER", "/data")
    monkeypatch.setenv("TRICK", "!!python/object/apply:os.system ['id']")
    tree = {"n": "${NUMBER}", "s": "n=${NUMBER}", "p": ["${FOLDER}/x"], "d": "${UNSET_XYZ:-3}", "l": "$${NUMBER}"}
    assert expand({**tree, "t": "${TRICK}"}) == (
        {
            "n": 7,
            "s": "n=7",
            "p": ["/data/x"],
            "d": 3,
            "l": "${NUMBER}",
            "t": "!!python/object/apply:os.system ['id']",
        },
        [],
    )


def test_every_unset_variable_is_reported_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET_A", raising=False)
    _, problems = expand({"a": "${NOT_SET_A}", "b": [{"c": "x${NOT_SET_A}"}]})
    assert [path for path, _ in problems] == [("a",), ("b", 0, "c")]


def test_credentials_in_urls_are_blanked_wherever_they_stand() -> None:
    value = {"u": ["http://user:secret@host/v1", "http://host/a@b"], "n": 1}
    assert redact(value) == {"u": ["http://***@host/v1", "http://host/a@b"], "n": 1}


@given(st.text(max_size=60))
def test_any_text_is_a_tree_or_a_recipe_error(text: str) -> None:
    with suppress(RecipeError):
        assert isinstance(parse_tree(text, "r").data, dict)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: {b: ${X}}\n", "needs quotes"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", "line 3 c: merge keys"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deep|nested more than"),
        ("a: " + "9" * 5000, r"value has 5000 digits\Z|value has 5000 digits\n"),
        ("? [a]\n: 1\n", "line 1: a key must be"),
    ],
)
def test_what_yaml_says_obscurely_is_said_plainly(text: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        parse_tree(text, "r.yaml")


def test_files_and_overrides_give_the_same_plain_values() -> None:
    text = "{1: 2020-01-01, b: !!binary aGk=, c: [1.5, null, true]}"
    plain = {"1": "2020-01-01", "b": "aGk=", "c": [1.5, None, True]}
    assert parse_tree(f"a: {text}", "r.yaml").data == parse_assignments([f"a={text}"]) == {"a": plain}


def test_a_message_cannot_steer_the_terminal() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_tree('"\\e[31ma\\nb": 1\n"\\e[31ma\\nb": 1\n', "odd\x1b[2J.yaml")
    assert "\x1b" not in str(caught.value)
    assert "\\x1b[31ma\\nb: this key stands twice" in str(caught.value)
