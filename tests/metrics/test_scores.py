from __future__ import annotations

from pathlib import Path

import pytest

from mulcot.metrics.chains import ChainScorer
from mulcot.metrics.reply_reading import AnswerReader
from mulcot.metrics.scores import NO_LABELS, NO_SET, PredictionRow, score

LABELS = ("negative", "neutral", "positive")


@pytest.fixture
def scorer(nltk_data: Path) -> ChainScorer:
    return ChainScorer(similarity=False)


def rows(*answers: tuple[str, str | None]) -> list[PredictionRow]:
    return [
        PredictionRow(id=str(n), prediction=f"Chain {n}. {said}", reference=f"The chain of number {n}.", label=label)
        for n, (said, label) in enumerate(answers)
    ]


def test_each_variant_reads_labels_by_its_own_rule(scorer: ChainScorer) -> None:
    some = rows(("Prediction: positive", "positive"), ("Prediction: **positive**", "positive"), ("", "negative"))
    variants = score(some, AnswerReader(LABELS), scorer)
    assert variants["paper"].answers == ("positive", None, None)
    assert variants["standard"].answers == ("positive", "positive", None)
    assert (variants["paper"].unparsed, variants["standard"].unparsed) == (2, 1)
    assert variants["paper"].labels["accuracy"] == pytest.approx(1 / 3)
    assert variants["standard"].labels["accuracy"] == pytest.approx(2 / 3)


def test_rows_without_a_label_count_for_the_chains_alone(scorer: ChainScorer) -> None:
    some = rows(("Prediction: positive", "positive"), ("Prediction: negative", None))
    paper = score(some, AnswerReader(LABELS), scorer)["paper"]
    assert paper.labels["accuracy"] == 1
    assert "1 of 2 rows" in paper.notes["labels"]
    none = score(rows(("Prediction: x", None)), AnswerReader(LABELS), scorer)["paper"].to_json()
    assert (none["accuracy"], none["unparsed"], none["notes"]["macro_f1"]) == (None, 1, NO_LABELS)


def test_without_a_label_set_there_are_no_label_scores(scorer: ChainScorer) -> None:
    page = score(rows(("x", None), ("y", None)), None, scorer)["standard"].to_json()
    assert page["accuracy"] is page["unparsed"] is page["confusion"] is None
    assert page["notes"]["accuracy"] == page["notes"]["unparsed"] == NO_SET
    assert page["rouge_l"] is not None


def test_the_floors_use_references_of_the_same_label(scorer: ChainScorer) -> None:
    texts = {"positive": "A glad child runs in the sun.", "negative": "Rain falls, and nobody is here."}
    some = [
        PredictionRow(id=str(n), prediction="nothing alike", reference=texts[label], label=label)
        for n, label in enumerate(["positive", "positive", "negative", "negative", "negative"])
    ]
    page = score(some, AnswerReader(("positive", "negative")), scorer)["paper"].to_json()
    assert page["floors"]["random_reference"]["bleu"] == pytest.approx(1)
    assert page["floors"]["majority_label"]["label"] == "negative"
    assert page["floors"]["majority_label"]["accuracy"] == pytest.approx(0.6)
    assert page["bleu"] == 0


def test_an_example_alone_with_its_label_has_no_floor(scorer: ChainScorer) -> None:
    page = score(rows(("Prediction: positive", "positive")), AnswerReader(LABELS), scorer)["paper"].to_json()
    assert page["floors"]["random_reference"] is None
    assert "floors" in page["notes"]


def test_one_class_and_unseen_classes_are_no_special_case(scorer: ChainScorer) -> None:
    page = score(rows(*[("Prediction: positive", "positive")] * 3), AnswerReader(LABELS), scorer)["paper"].to_json()
    assert page["accuracy"] == page["weighted_f1"] == 1
    assert page["macro_f1"] == pytest.approx(1 / 3)
    assert page["intervals"]["accuracy"] == [1, 1]
