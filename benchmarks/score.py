"""Chain metrics of the paper variant against the same metrics computed the published way, in one run.

    python benchmarks/score.py [--json] [--pairs N]

The published way is the packages themselves where there are packages (`rouge` 1.0.1, NLTK), and BLEU by its definition
over the 13a rule. About 200 words per text, each text different. METEOR runs with WordNet where it is found, without
it on both sides otherwise. Target: three times faster in total, equal to 1e-6. Similarity is left out: the model's
forward pass is the same on both sides. `both_variants_s` is what `mulcot score` takes for these pairs: everything below
and the standard variant, each text cut into words once.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from nltk.tokenize.treebank import TreebankWordTokenizer
from nltk.translate.meteor_score import meteor_score
from rouge import Rouge

from mulcot.metrics.bleu import pair_bleu
from mulcot.metrics.chains import ChainScorer
from mulcot.metrics.distinct import text_distinct
from mulcot.metrics.meteor import Synonyms, meteor
from mulcot.metrics.rouge import published_rouge_l
from mulcot.metrics.tokenisation import TokenCache, stem
from mulcot.metrics.wordnet import find_wordnet, open_wordnet

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "metrics"))

from published import slow_bleu, slow_distinct

TARGET = 3.0
WORDS = 200
TREEBANK = TreebankWordTokenizer()
SUBJECTS = [
    "the text",
    "the picture",
    "the post",
    "the overall tone",
    "the smiling crowd",
    "the red banner",
    "a player",
]
VERBS = ["shows", "suggests", "conveys", "points to", "mentions", "describes", "supports", "contradicts", "underlines"]
OBJECTS = ["excitement", "a neutral report", "disappointment", "happiness", "the event's date", "pride", "no emotion"]
ENDS = [
    "without doubt",
    "in this context",
    "for the named aspect",
    "as a whole",
    "at first glance",
    "in bright colours",
]

Pair = tuple[str, str]


class NltkShape:
    """Our WordNet in the shape that NLTK's METEOR asks for, so that both sides read the same database."""

    def __init__(self, lookup: Callable[[str], Any]) -> None:
        self._lookup = lookup

    def synsets(self, word: str) -> list[NltkShape]:
        self._names = self._lookup(word)
        return [self]

    def lemmas(self) -> list[Any]:
        return [Name(name) for name in self._names]


class Name:
    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        return self._name


def chain(rng: random.Random) -> str:
    """A chain of five fields and about `WORDS` words."""
    fields = ["Text_analysis", "Image_analysis", "Conflict_resolution", "Final_conclusion"]
    lines = []
    for field in fields:
        sentences: list[str] = []
        while sum(len(sentence.split()) for sentence in sentences) < WORDS // len(fields):
            number = rng.randrange(1000)
            parts = (rng.choice(SUBJECTS), f"of item {number}", *map(rng.choice, (VERBS, OBJECTS, ENDS)))
            sentences.append(" ".join(parts).capitalize())
        lines.append(f'"{field}": "{". ".join(sentences)}."')
    return "\n\n".join([*lines, f'"Prediction": "{rng.choice(["positive", "neutral", "negative"])}"'])


def slow_metrics(synonyms: Callable[[str], Any]) -> dict[str, Callable[[list[Pair]], float]]:
    """Each metric by itself, every text tokenised anew, as published."""
    rouge, wordnet = Rouge(), NltkShape(synonyms)

    def meteor_of(pair: Pair) -> float:
        said, there = (TREEBANK.tokenize(text.lower()) for text in pair)
        return float(meteor_score([there], said, wordnet=wordnet))

    def distinct(order: int) -> Callable[[list[Pair]], float]:
        return lambda pairs: fmean(slow_distinct(TREEBANK.tokenize(said.lower()), order) for said, _ in pairs)

    return {
        "bleu": lambda pairs: fmean(slow_bleu(*pair) for pair in pairs),
        "meteor": lambda pairs: fmean(map(meteor_of, pairs)),
        "rouge_l": lambda pairs: fmean(float(rouge.get_scores(*pair)[0]["rouge-l"]["f"]) for pair in pairs),
        "distinct_1": distinct(1),
        "distinct_2": distinct(2),
    }


def our_metrics(synonyms: Synonyms | None) -> dict[str, Callable[[list[Pair]], float]]:
    """Each metric by itself with nothing remembered from another."""

    def bleu(pairs: list[Pair]) -> float:
        words = TokenCache().mteval
        return fmean(pair_bleu(words(said), words(there)) for said, there in pairs)

    def meteors(pairs: list[Pair]) -> float:
        words = TokenCache().treebank
        return fmean(meteor(words(said), words(there), synonyms) for said, there in pairs)

    def distinct(order: int) -> Callable[[list[Pair]], float]:
        return lambda pairs: fmean(text_distinct(TokenCache().treebank(said), order) for said, _ in pairs)

    return {
        "bleu": bleu,
        "meteor": meteors,
        "rouge_l": lambda pairs: fmean(published_rouge_l(*pair) for pair in pairs),
        "distinct_1": distinct(1),
        "distinct_2": distinct(2),
    }


def timed(metrics: dict[str, Callable[[list[Pair]], float]], pairs: list[Pair]) -> tuple[dict[str, float], ...]:
    """Values and seconds of each metric."""
    values, seconds = {}, {}
    for name, metric in metrics.items():
        started = time.perf_counter()
        values[name] = metric(pairs)
        seconds[name] = time.perf_counter() - started
    return values, seconds


def measure(count: int) -> dict[str, Any]:
    """Both ways on the same pairs; ours computes the standard variant as well."""
    rng = random.Random(0)
    pairs = [(chain(rng), chain(rng)) for _ in range(count)]
    place = find_wordnet()
    synonyms = open_wordnet(place).synonyms if place else None
    slow_values, slow_seconds = timed(slow_metrics(synonyms or (lambda word: ())), pairs)
    our_values, our_seconds = timed(our_metrics(synonyms), pairs)
    stem.cache_clear()
    started = time.perf_counter()
    ChainScorer(similarity=False).score(pairs)
    both_variants = time.perf_counter() - started
    slow_total, our_total = sum(slow_seconds.values()), sum(our_seconds.values())
    difference = max(abs(slow_values[name] - our_values[name]) for name in slow_values)
    return {
        "pairs": count,
        "words_per_text": round(fmean(len(text.split()) for pair in pairs for text in pair)),
        "wordnet": place is not None,
        "published_s": {name: round(seconds, 3) for name, seconds in slow_seconds.items()},
        "ours_s": {name: round(seconds, 3) for name, seconds in our_seconds.items()},
        "speedup_by_metric": {name: round(slow_seconds[name] / our_seconds[name], 2) for name in our_seconds},
        "published_total_s": round(slow_total, 3),
        "ours_total_s": round(our_total, 3),
        "both_variants_s": round(both_variants, 3),
        "speedup": round(slow_total / our_total, 2),
        "target_speedup": TARGET,
        "largest_difference": difference,
    }


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=1000)
    args = parser.parse_args()
    result = measure(args.pairs)
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<20} {value}")


if __name__ == "__main__":
    main()
