from __future__ import annotations

import re
import warnings
from pathlib import Path

import nltk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import sentence_bleu
from published import slow_bleu, slow_distinct
from rouge import Rouge

from mulcot.errors import DataError
from mulcot.metrics import wordnet
from mulcot.metrics.chains import CHAIN_METRICS, HEADING, ChainScorer, ChainScores
from mulcot.metrics.rouge import published_rouge_l
from mulcot.metrics.tokenisation import MAX_CHARACTERS, TokenCache
from mulcot.multimodal_cot.formats import SOLUTION

PACKAGE = Rouge()
PAIRS = [
    ("The kid smiles. The text is glad.", "The child smiles. The text is happy."),
    ("A dog runs in the park with a ball.", "A dog runs in a park, and it has a ball."),
]


@pytest.fixture
def scorer(nltk_data: Path) -> ChainScorer:
    return ChainScorer(similarity=False)


def test_paper_values_are_means_over_pairs_and_distinct_is_of_the_predictions(scorer: ChainScorer) -> None:
    paper = scorer.score(PAIRS)["paper"]
    words = TokenCache()
    assert paper.scores["bleu"] == pytest.approx(sum(slow_bleu(p, r) for p, r in PAIRS) / 2)
    assert paper.scores["distinct_2"] == pytest.approx(sum(slow_distinct(words.treebank(p), 2) for p, _ in PAIRS) / 2)
    on_references = sum(slow_distinct(words.treebank(r), 1) for _, r in PAIRS) / 2
    assert paper.beside["distinct_1_references"] == pytest.approx(on_references)
    assert on_references != pytest.approx(paper.scores["distinct_1"])


def test_the_variants_differ_and_say_how_they_are_made(scorer: ChainScorer) -> None:
    variants = scorer.score(PAIRS)
    paper, standard = variants["paper"], variants["standard"]
    assert list(paper.scores) == list(standard.scores) == list(CHAIN_METRICS)
    for name in ("bleu", "rouge_l", "distinct_1"):
        assert paper.scores[name] != pytest.approx(standard.scores[name])
    assert paper.scores["meteor"] == standard.scores["meteor"]
    assert "sacrebleu nrefs:1|" in standard.how["bleu"]
    assert "stemmer" in standard.how["rouge_l"]
    assert f"NLTK {nltk.__version__}" in paper.how["meteor"]


def test_with_wordnet_meteor_counts_synonyms_and_without_it_has_another_name(
    scorer: ChainScorer, nltk_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_it = scorer.score(PAIRS)["paper"]
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(wordnet, "DEBIAN", nltk_data / "nothing")
    for variant in ChainScorer(similarity=False).score(PAIRS).values():
        assert variant.scores["meteor"] is None
        assert "wordnet-base" in variant.notes["meteor"]
        assert "meteor" not in variant.per_pair
        assert 0 < variant.beside["meteor_exact_stem"] < (with_it.scores["meteor"] or 0)
    assert "meteor_exact_stem" not in with_it.beside
    named = ChainScorer(similarity=False, wordnet=nltk_data / "corpora" / "wordnet").score(PAIRS)["paper"]
    assert named.scores["meteor"] == with_it.scores["meteor"]


def test_a_broken_wordnet_is_an_error_where_it_was_named_and_a_note_where_it_was_found(nltk_data: Path) -> None:
    broken = nltk_data / "corpora" / "wordnet"
    (broken / "index.noun").write_text("", "utf-8")
    with pytest.raises(DataError, match=r"index\.noun is empty"):
        ChainScorer(similarity=False, wordnet=broken)
    assert "index.noun is empty" in ChainScorer(similarity=False).score(PAIRS)["paper"].notes["meteor"]


def test_an_absent_similarity_is_null_with_the_reason(scorer: ChainScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scorer.score(PAIRS)["standard"].notes["similarity"] == "not asked for"
    monkeypatch.setattr("mulcot.metrics.similarity.PACKAGE", "no_such_package")
    paper = ChainScorer().score(PAIRS)["paper"]
    assert paper.scores["similarity"] is None
    assert "mulcot[similarity]" in paper.notes["similarity"]


def test_empty_predictions_count_nothing_and_are_reported(scorer: ChainScorer) -> None:
    variants = scorer.score([("", "a b c d"), (" \n", "a b c d"), ("a b c d", "a b c d")])
    assert variants["paper"].scores["bleu"] == pytest.approx(1 / 3)
    assert "2 empty predictions" in variants["paper"].notes["empty"]
    assert variants["standard"].scores["rouge_l"] == pytest.approx(1 / 3)
    alone = scorer.score([("", "a b c d")])
    for variant in alone.values():
        assert {variant.scores[n] for n in CHAIN_METRICS if n != "similarity"} == {0}


def test_texts_beyond_the_limit_and_broken_unicode_are_scored_and_said(scorer: ChainScorer) -> None:
    variants = scorer.score([("loop " * MAX_CHARACTERS, "a \ud800 b"), ("a \ud800 b", "a ? b")])
    assert "1 texts were compared by their first 20,000 characters" in variants["paper"].notes["length"]
    assert variants["paper"].per_pair["rouge_l"][1] == pytest.approx(1, abs=1e-6)


def test_no_pairs_have_no_scores(scorer: ChainScorer) -> None:
    for variant in scorer.score([]).values():
        assert set(variant.scores.values()) == {None}
        assert set(variant.notes) == set(CHAIN_METRICS)
        assert variant.intervals() == {}


def test_intervals_are_those_of_the_means(scorer: ChainScorer) -> None:
    paper = scorer.score(PAIRS * 20)["paper"]
    intervals = paper.intervals()
    assert set(intervals) == set(CHAIN_METRICS) - {"similarity"}
    for name, ends in intervals.items():
        assert ends.low <= (paper.scores[name] or 0) <= ends.high


def test_nothing_is_ever_fetched(monkeypatch: pytest.MonkeyPatch, nltk_data: Path) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr(nltk, "download", refuse)
    assert ChainScorer(similarity=False).score(PAIRS)["paper"].scores["meteor"] is not None


def multimodal_cot(pairs: list[tuple[str, str]], alone: tuple[str, ...] = ()) -> ChainScores:
    return ChainScorer(similarity=False, variants=("multimodal_cot",)).score(pairs, alone)["multimodal_cot"]


def test_multimodal_cot_compares_whole_targets_also_where_nobody_explained() -> None:
    """By hand: `Solution: a b` has two of three words of `Solution: a c`, `Solution: x` the one of `Solution:`."""
    found = multimodal_cot([("a b", "a c")], ("x",))
    assert found.pairs == 2
    assert found.beside["bleu_1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.scores["rouge_l"] == pytest.approx((2 / 3 + 2 / 3) / 2, abs=1e-6)
    assert (found.scores["meteor"], found.scores["distinct_1"], found.scores["bleu"]) == (None, None, 0)
    assert set(found.intervals()) == {"bleu", "rouge_l"}
    unsaid = multimodal_cot([("a b", "a b")], ("",))
    assert unsaid.scores["rouge_l"] == pytest.approx(1, abs=1e-6), "nothing was to be said, and nothing was"
    assert HEADING == SOLUTION


def test_multimodal_cot_gives_rouge_its_arguments_in_the_published_order() -> None:
    """Of equally long subsequences the package finds another one the other way round."""
    said, there = "d b d", "d d b"
    both = ((there, said), (said, there))
    calls = [PACKAGE.get_scores(f"Solution: {a}", f"Solution: {b}")[0]["rouge-l"]["f"] for a, b in both]
    assert calls[0] == pytest.approx(4 / 6, abs=1e-6) and calls[1] == pytest.approx(1, abs=1e-6)
    assert multimodal_cot([(said, there)]).scores["rouge_l"] == calls[0]
    assert published_rouge_l(said, there) == PACKAGE.get_scores(said, there)[0]["rouge-l"]["f"], "`paper` stays"


@settings(deadline=None, max_examples=200)
@given(*[st.lists(st.sampled_from(["a", "b", "c", ".", "d."]), max_size=12).map(" ".join)] * 2)
def test_multimodal_cot_scores_as_its_code_prints(said: str, there: str) -> None:
    target, reply = (f"Solution: {text}".strip() for text in (there, said))
    found = multimodal_cot([(said, there)])
    assert found.scores["rouge_l"] == PACKAGE.get_scores(target, reply, avg=True)["rouge-l"]["f"]
    cut = [[word for word in re.split(r"\s|\.", text) if word] for text in (target, reply)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, order in (("bleu_1", 1), ("bleu", 4)):
            expected = sentence_bleu([cut[0]], cut[1], (1 / order,) * order)
            assert {**found.beside, **found.scores}[name] == pytest.approx(expected, abs=1e-9)


def test_what_has_no_reference_changes_no_other_variant(scorer: ChainScorer) -> None:
    plain, more = scorer.score(PAIRS), scorer.score(PAIRS, ["nobody explained this"])
    assert {name: one.scores for name, one in plain.items()} == {name: one.scores for name, one in more.items()}
    assert [one.pairs for one in more.values()] == [2, 2]
