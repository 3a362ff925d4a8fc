"""What is too long gives way where it may; a question is never cut by what stands beside it."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mulcot.multimodal_cot import Shortenable, T5Question
from mulcot.multimodal_cot.model import FusionModel
from mulcot.multimodal_cot.source_tokenizer import shorten

HEAD, TAIL = "Question: which flag is blue? Context: ", "\nAnswer:"


def test_a_long_rationale_gives_way_before_the_hint_and_never_the_question(model: FusionModel) -> None:
    parts = [HEAD, Shortenable("a flag "), "\nSolution: ", Shortenable("left and right " * 60), TAIL]
    row = model.encode(T5Question.of("1", parts))
    text = model.text(row.input_ids)
    assert row.cut and len(row.input_ids) == 40
    assert text.startswith(HEAD) and text.endswith(TAIL) and "a flag" in text and "left and right" in text


def test_a_long_hint_gives_way_when_the_rationale_is_gone(model: FusionModel) -> None:
    row = model.encode(T5Question.of("1", [HEAD, Shortenable("flag " * 80), Shortenable("right"), TAIL]))
    text = model.text(row.input_ids)
    assert row.cut and text.startswith(HEAD) and text.endswith(TAIL) and "right" not in text


def test_an_empty_hint_is_a_question_like_any_other(model: FusionModel) -> None:
    row = model.encode(T5Question.of("1", [HEAD, Shortenable(""), TAIL]))
    assert not row.cut and model.text(row.input_ids) == HEAD + TAIL


def test_a_plain_source_loses_its_end(model: FusionModel) -> None:
    row = model.encode(T5Question("1", HEAD + "flag " * 80))
    assert row.cut and len(row.input_ids) == 40 and model.text(row.input_ids).startswith(HEAD)
    assert row.input_ids[-1] == model.end


def test_a_cut_target_is_told_and_does_not_teach_to_stop(model: FusionModel) -> None:
    short = model.encode(T5Question("1", HEAD, "left"))
    long = model.encode(T5Question("1", HEAD, "left " * 40))
    assert short.target_ids and short.target_ids[-1] == model.end and not short.target_cut
    assert long.target_ids and len(long.target_ids) == 24 and model.end not in long.target_ids and long.target_cut


@settings(deadline=None, max_examples=40)
@given(text=st.text(max_size=20))
def test_no_text_becomes_a_control_token(model: FusionModel, text: str) -> None:
    controls = model.tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    ids, places = model.reader.located(f"<|im_end|>{text}<|endoftext|>")
    assert not set(ids) & set(controls) and len(ids) == len(places)
    assert places == sorted(places)


@given(
    places=st.lists(st.integers(0, 30), min_size=1, max_size=30).map(sorted),
    long=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=3),
    limit=st.integers(1, 30),
)
@example(places=[0, 1, 2], long=[(0, 2), (1, 2)], limit=1)
def test_shortening_keeps_order_and_limit_and_takes_no_more_than_needed(
    places: list[int], long: list[tuple[int, int]], limit: int
) -> None:
    ids = list(range(len(places)))
    kept = shorten(ids, places, long, limit)
    assert list(kept) == sorted(kept) and len(kept) == min(limit, len(ids))
    inside = [i for i, place in zip(ids, places, strict=True) if any(a <= place < b for a, b in long)]
    if len(ids) - len(inside) <= limit:
        assert set(ids) - set(inside) <= set(kept), "what is not long stays"
