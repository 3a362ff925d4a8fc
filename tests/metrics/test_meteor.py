from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nltk.translate.meteor_score import single_meteor_score
from wordnet_files import EXCEPTIONS, SENSES

from mulcot.metrics.meteor import meteor
from mulcot.metrics.tokenisation import TokenCache
from mulcot.metrics.wordnet import DEBIAN, FILES, find_wordnet, open_wordnet

WORDS = st.sampled_from(
    """glad happy happiness felicity child children kids run ran runs scat bigger large big quickly rapidly show shows
    demo express go gone move moving boxes box wolves wolf paris cheerful x y . , the the a 's""".split()  # noqa: SIM905
)
SENTENCES = st.lists(WORDS, max_size=14)


class NoWordNet:
    def synsets(self, word: str) -> list[Any]:
        return []


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=SENTENCES, there=SENTENCES)
def test_with_wordnet_it_is_nltk_s_value(nltk_wordnet: Any, nltk_data: Path, said: list[str], there: list[str]) -> None:
    synonyms = open_wordnet(nltk_data / "corpora" / "wordnet").synonyms
    assert meteor(said, there, synonyms) == single_meteor_score(there, said, wordnet=nltk_wordnet)


@settings(deadline=None, max_examples=200)
@given(said=SENTENCES, there=SENTENCES)
def test_without_wordnet_it_is_nltk_s_value_for_words_without_synonyms(said: list[str], there: list[str]) -> None:
    assert meteor(said, there, None) == single_meteor_score(there, said, wordnet=NoWordNet())


def test_real_chains_score_as_with_nltk(real_chains: list[str]) -> None:
    words = TokenCache()
    for predicted, reference in zip(real_chains, real_chains[3:], strict=False):
        said, there = words.treebank(predicted), words.treebank(reference)
        assert meteor(said, there, None) == single_meteor_score(there, said, wordnet=NoWordNet())


@pytest.mark.slow
def test_real_chains_score_as_with_nltk_and_the_whole_wordnet(
    real_chains: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = find_wordnet()
    if place is None or not place.is_dir():
        pytest.skip("no folder with WordNet, such as Debian's wordnet-base")
    ours, words = open_wordnet(place).synonyms, TokenCache()
    theirs = whole_wordnet(place, tmp_path, monkeypatch)
    for predicted, reference in zip(real_chains, real_chains[3:], strict=False):
        said, there = words.treebank(predicted), words.treebank(reference)
        assert meteor(said, there, ours) == single_meteor_score(there, said, wordnet=theirs)
    for file in theirs._data_file_map.values():
        file.close()


def whole_wordnet(place: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """NLTK's reader over the real files; of the two that Debian lacks it needs the form alone."""
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    folder = root / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(place / name, folder / name)
    (folder / "index.sense").write_text("", "utf-8")
    (folder / "lexnames").write_text("".join(f"{n:02d}\tname\t1\n" for n in range(45)), "utf-8")
    monkeypatch.setattr(nltk.data, "path", [str(root)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The multilingual functions")
        return WordNetCorpusReader(nltk.data.find("corpora/wordnet"), None)


def test_synonyms_count_and_the_order_of_words_costs(nltk_data: Path) -> None:
    synonyms = open_wordnet(nltk_data / "corpora" / "wordnet").synonyms
    assert meteor(["kid"], ["child"], synonyms) == 0.5
    assert meteor(["kid"], ["child"], None) == 0
    assert meteor(["big"], ["large"], synonyms) == 0  # NLTK looks synonyms up among stems, here `larg`
    in_order, mixed = meteor(list("abcd"), list("abcd"), None), meteor(list("dcba"), list("abcd"), None)
    assert mixed == pytest.approx(0.5)
    assert in_order > 0.99


def test_empty_texts_score_nothing() -> None:
    assert meteor([], ["a"], None) == meteor(["a"], [], None) == meteor([], [], None) == 0


def test_debian_s_wordnet_knows_what_nltk_knows() -> None:
    if not DEBIAN.is_dir():
        pytest.skip("wordnet-base is not installed")
    synonyms = open_wordnet(DEBIAN).synonyms
    assert {"felicity", "happiness"} <= synonyms("happiness")
    assert "wolf" in synonyms("wolves")
    assert synonyms("qqqq") == frozenset()


def test_every_word_of_the_small_wordnet_has_nltk_s_synonyms(nltk_wordnet: Any, nltk_data: Path) -> None:
    ours = open_wordnet(nltk_data / "corpora" / "wordnet").synonyms
    words = {name.removesuffix("(p)") for senses in SENSES.values() for names in senses for name in names}
    words |= {word for rows in EXCEPTIONS.values() for row in rows for word in row.split()}
    for word in sorted({word + ending for word in words for ending in ("", "s", "es", "ed", "ing", "er", "est")}):
        expected = {n.name() for s in nltk_wordnet.synsets(word) for n in s.lemmas() if "_" not in n.name()}
        assert ours(word) == expected, word
    assert ours("children") == {"child", "kid"}
