import json

from hypothesis import given
from hypothesis import strategies as st

from mulcot.records import Example, ImageRef, Rejected, content_id, read_lines

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)
images = st.builds(ImageRef, path=texts, stored=st.booleans(), sha256=texts, width=st.integers(0, 9), of=texts)
examples = st.builds(
    Example,
    id=texts,
    split=texts,
    text=texts,
    images=st.lists(images, max_size=3).map(tuple),
    aspect=st.none() | texts.filter(bool),
    choices=st.lists(texts, max_size=4).map(tuple),
    label=st.none() | texts.filter(bool),
    meta=st.dictionaries(texts, st.integers()),
)


@given(examples)
def test_an_example_reads_back_equal(example: Example) -> None:
    assert Example.from_json(json.loads(example.to_line())) == example


@given(st.lists(examples, max_size=5))
def test_lines_hold_one_record_each_whatever_the_text(tmp_path_factory, records: list[Example]) -> None:
    path = tmp_path_factory.mktemp("lines") / "x.jsonl"
    path.write_text("".join(record.to_line() for record in records), "utf-8")
    assert list(read_lines(path, Example)) == records


def test_fields_of_a_later_version_are_ignored() -> None:
    assert Rejected.from_json({"source": "a:1", "reason": "r", "detail": "d", "new": 1}).reason == "r"


@given(st.lists(st.none() | texts, min_size=1, max_size=4), st.lists(st.none() | texts, min_size=1, max_size=4))
def test_ids_differ_exactly_where_content_does(one: list[str | None], other: list[str | None]) -> None:
    assert (content_id(*one) == content_id(*other)) == (one == other)


def test_an_id_depends_on_where_a_part_ends() -> None:
    assert content_id("ab", "c") != content_id("a", "bc")


def test_the_own_picture_is_not_a_choices_picture() -> None:
    choice, own = ImageRef(path="c.png", of="A"), ImageRef(path="q.png")
    assert Example(id="x", split="train", text="q", images=(choice, own)).picture == own
