from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from PIL import Image

from mulcot.evaluation.ask_model import EvaluationSet
from mulcot.evaluation.references import Reference, find_references
from mulcot.evaluation.scoring import Scorer, label_set
from mulcot.evaluation.set_results import SetResults
from mulcot.evaluation.teacher import HOW, teacher_answers, why_not
from mulcot.evaluation.views import GREY, apply_view
from mulcot.media import Gallery, Store
from mulcot.metrics.chains import ChainScorer
from mulcot.records import Example, ImageRef, Prediction, Rationale, Rejected
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.sentiment import Sentiment

LABELS = ("positive", "neutral", "negative")


def example(number: int, label: str, **rest: object) -> Example:
    images = (ImageRef(path=f"{number}.png", sha256=f"{number}", width=8, height=4),)
    return Example(
        **{"id": f"p{number}", "split": "test", "text": f"post {number}", "images": images, "label": label, **rest}
    )


def prediction(number: int, label: str | None, share: float = 0.8, **rest: object) -> Prediction:
    others = [name for name in LABELS if name != label]
    probabilities = {} if label is None else {label: share, **dict.fromkeys(others, (1 - share) / 2)}
    return Prediction(**{"id": f"p{number}", "label": label, "probabilities": probabilities, **rest})


def data(*examples: Example) -> EvaluationSet:
    return EvaluationSet("test", examples, Gallery(None, Store(Path("/nowhere"))))


FOUR = data(example(0, "positive"), example(1, "positive"), example(2, "negative"), example(3, "negative"))


def test_rejected_examples_and_broken_scores_are_misses_and_counted() -> None:
    answers = [
        prediction(0, "positive"),
        Rejected(source="x", reason="missing_image", detail="gone"),
        prediction(2, None, problem="not_finite"),
        prediction(3, "positive"),
    ]
    found = Scorer(Sentiment()).score("x", FOUR, answers)
    assert found.labels.accuracy == 0.25
    assert found.labels.unparsed == 2
    assert found.rejected == {"missing_image": 1}
    assert found.calibration[0].examples == 2
    assert json.loads(found.model_dump_json())["labels"]["accuracy"] == 0.25


def test_a_label_that_never_occurs_scores_zero_without_failing() -> None:
    found = Scorer(Sentiment()).score("x", FOUR, [prediction(n, "positive") for n in range(4)])
    neutral = next(one for one in found.labels.per_label if one.label == "neutral")
    assert (neutral.support, neutral.predicted, neutral.f1) == (0, 0, 0)
    assert found.labels.macro_f1 == pytest.approx((2 / 3) / 3)
    assert not math.isnan(found.labels.macro_f1)


def test_agreement_counts_labels_against_what_chains_say() -> None:
    answers = [
        prediction(0, "positive", chain="a", chain_label="positive"),
        prediction(1, "positive", chain="b", chain_label="negative"),
        prediction(2, "positive", chain="c", chain_label="negative"),
        prediction(3, "negative", chain="", chain_problem="empty", cut=True),
    ]
    found = Scorer(Sentiment()).score("x", FOUR, answers)
    assert (found.agreement.agree, found.agreement.differ, found.agreement.unread) == (1, 2, 1)
    assert (found.agreement.right_label_only, found.agreement.right_chain_only) == (2, 1)
    assert (found.chains.written, found.chains.empty, found.chains.cut, found.chains.complete) == (4, 1, 1, 0)
    assert found.chains.problems == {"empty": 1}


def test_a_fitted_temperature_is_shown_beside_the_models_own() -> None:
    answers = [prediction(n, "positive", 0.98) for n in range(4)]
    own, fitted = Scorer(Sentiment()).score("x", FOUR, answers, temperature=4.0).calibration
    assert (own.temperature, fitted.temperature) == (1.0, 4.0)
    assert own.confidence == pytest.approx(0.98)
    assert fitted.confidence < own.confidence
    assert fitted.ece < own.ece


def test_generated_labels_are_scored_by_both_rules() -> None:
    answers = [prediction(n, "positive", reply="**positive**", published_label=None) for n in range(4)]
    found = Scorer(Sentiment()).score("x", FOUR, answers)
    assert found.labels.accuracy == 0.5
    assert found.published_labels.accuracy == 0
    assert found.published_labels.unparsed == 4


def test_questions_of_different_length_are_scored_over_the_longest() -> None:
    asked = [example(0, "A", choices=("x", "y")), example(1, "C", choices=("x", "y", "z"))]
    assert label_set(MultipleChoice(), asked) == ("A", "B", "C")
    answers = [Prediction(id="p0", label="A", probabilities={"A": 0.7, "B": 0.3}), Prediction(id="p1", label="C")]
    found = Scorer(MultipleChoice()).score("x", data(*asked), answers)
    assert found.labels.accuracy == 1
    assert found.calibration[0].examples == 1


def test_the_student_is_compared_to_everyone_else() -> None:
    set_results = SetResults(Scorer(Sentiment()), FOUR, {})
    set_results.add("student", "s", [prediction(n, e.label) for n, e in enumerate(FOUR.examples)])
    set_results.add("majority", "m", [prediction(n, "positive") for n in range(4)])
    found = set_results.scores("student")
    (comparison,) = found.comparisons
    assert (comparison.only_first, comparison.only_second) == (2, 0)
    assert comparison.differences["accuracy"][0] == 0.5
    assert found.labels == {"positive": 2, "neutral": 0, "negative": 2}
    assert set_results.scores("nobody").comparisons == []


def test_a_chain_that_was_given_is_not_the_models_work() -> None:
    """Whether the label follows it counts; how good it is does not."""
    said = [prediction(n, e.label, chain="x", chain_label=e.label, agrees=True) for n, e in enumerate(FOUR.examples)]
    set_results = SetResults(Scorer(Sentiment(), ChainScorer(similarity=False)), FOUR, {"p0": Reference("x", "human")})
    set_results.add("own", "o", said)
    set_results.add("given", "g", said, own=False)
    own, given = set_results.models["own"], set_results.models["given"]
    assert own.chains is not None
    assert own.overlap
    assert (given.chains, given.overlap, given.references) == (None, {}, None)
    assert given.agreement == own.agreement


def test_the_floor_of_questions_is_any_other_question() -> None:
    asked = [example(n, letter, choices=("x", "y")) for n, letter in enumerate("AB")]
    said = [
        Prediction(id=f"p{n}", label=letter, chain="same words", chain_label=letter) for n, letter in enumerate("AB")
    ]
    references = {f"p{n}": Reference("same words here", "human") for n in range(2)}
    found = Scorer(MultipleChoice(), ChainScorer(similarity=False)).score(
        "x", data(*asked), said, references=references
    )
    assert found.overlap["paper"]["floor"]["rouge_l"] == pytest.approx(1.0)
    moods = Scorer(Sentiment(), ChainScorer(similarity=False)).score(
        "x", data(example(0, "positive"), example(1, "negative")), said, references=references
    )
    assert moods.overlap["paper"]["floor"] is None


def test_multimodal_cot_counts_rationales_of_questions_that_nobody_explained() -> None:
    asked = [example(n, letter, choices=("x", "y")) for n, letter in enumerate("ABA")]
    said = [Prediction(id=f"p{n}", label="A", chain="same words") for n in range(3)]
    references = {f"p{n}": Reference("same words", "human") for n in range(2)}
    scorer = ChainScorer(similarity=False, variants=("multimodal_cot", "standard"))
    found = Scorer(MultipleChoice(), scorer).score("x", data(*asked), said, references=references).overlap
    published, standard = found["multimodal_cot"], found["standard"]
    assert (published["pairs"], standard["pairs"]) == (3, 2)
    assert standard["rouge_l"] == standard["floor"]["rouge_l"] == pytest.approx(1)
    # The third is `Solution: same words` against `Solution:`: one word of three, and one of one.
    assert published["rouge_l"] == pytest.approx((1 + 1 + 0.5) / 3, abs=1e-6)
    assert published["floor"]["rouge_l"] == pytest.approx(published["rouge_l"]), (
        "the same text stands there in all three"
    )
    nothing = Scorer(MultipleChoice(), scorer).score("x", data(*asked), said, references={})
    assert (nothing.overlap, nothing.references) == ({}, None)


def test_references_are_the_worlds_the_teachers_or_a_persons() -> None:
    chain = {"Text_analysis": "Praise.", "Prediction": "positive"}
    told = Rationale(example_id="p0", source="teacher", stage=1, fields=chain, prediction="positive")
    asked = [
        example(0, "positive", rationale="since"),
        example(1, "positive", rationale="because"),
        example(2, "neutral"),
    ]
    found = find_references(Sentiment(), asked, [told])
    assert {name: reference.source for name, reference in found.items()} == {"p0": "teacher", "p1": "human"}
    assert found["p0"].text.startswith('"Text_analysis": "Praise."')


def test_the_teacher_is_only_scored_where_all_its_answers_are_known() -> None:
    asked = FOUR.examples[:3]
    known = {f"p{n}": prediction(n, "positive") for n in range(2)}
    assert teacher_answers(asked, known) is None
    known["p2"] = prediction(2, None, problem="refused")
    assert teacher_answers(asked, known) == list(known.values())


def test_a_teacher_that_errs_is_not_more_precise_than_it_is() -> None:
    """Counted as no label, the wrong answers would leave every label's precision at 1."""
    said = [prediction(n, "positive") for n in range(4)]
    known = teacher_answers(FOUR.examples, {answer.id: answer for answer in said})
    found = Scorer(Sentiment()).score(HOW, FOUR, known).labels
    assert {one.label: one.precision for one in found.per_label}["positive"] == 0.5
    assert (found.accuracy, found.unparsed) == (0.5, 0)


def test_it_is_told_why_the_teacher_is_not_scored_and_what_is_known() -> None:
    chain = {"Prediction": "positive"}
    made = [Rationale(example_id=f"p{n}", source="t", stage=stage, fields=chain, prediction="positive")
            for n, stage in enumerate((1, 2))]  # fmt: skip
    known = {one.example_id: one for one in made}
    asked = FOUR.examples[:3]
    assert why_not("test", asked, known, (), kept=True) is None, "it was not asked about all of them"
    old = why_not("test", asked, known, {"p2"}, kept=False)
    assert old is not None and "at least 1 of 3 labels" in old and "version" in old
    imported = why_not("test", asked[:1], {"p0": dataclasses.replace(made[0], stage=0)}, (), kept=True)
    assert imported is not None and "imported" in imported and "at least" not in imported


def test_views_take_away_what_they_say(tmp_path: Path) -> None:
    Image.new("RGB", (8, 4), "red").save(tmp_path / "0.png")
    gallery = Gallery(tmp_path, Store(tmp_path))
    asked = [example(0, "positive", caption="red"), example(1, "neutral", images=()), example(2, "neutral")]
    text, grey = apply_view("text_only", asked, gallery)
    assert [one.text for one in text] == [one.text for one in asked]
    assert text[0].caption is None
    picture = grey.open(text[0].images[0])
    assert (picture.size, picture.getpixel((0, 0))) == ((8, 4), GREY)
    image, same = apply_view("image_only", asked, gallery)
    assert {one.text for one in image} == {"..."}
    assert same is gallery
    swapped, _ = apply_view("swapped", asked, gallery)
    assert [one.images for one in swapped] == [asked[2].images, (), asked[0].images]
    assert apply_view("swapped", asked[:2], gallery)[0][0].images == asked[0].images, "there is no other picture"
    assert apply_view("whole", asked, gallery) == (asked, gallery)


def test_a_rationale_is_complete_where_it_names_an_answer() -> None:
    fields = {"Rationale": "So it is B."}
    answers = [
        prediction(0, "positive", chain="So.", fields=fields, chain_label="positive"),
        prediction(1, "positive", chain="So.", fields=fields),
        prediction(2, "negative", chain="So.", fields={"Text_analysis": "So."}, chain_label="negative"),
        prediction(3, "negative", chain="", fields={}),
    ]
    found = Scorer(Sentiment()).score("x", FOUR, answers).chains
    assert found is not None
    assert (found.written, found.complete, found.empty) == (4, 1, 1)
