"""How near generated chains come to reference chains, as named variants.

`paper` is what the MulCoT-RD code computes, per pair and averaged; `multimodal_cot` is what the code of that method
computes, over whole targets and also where nobody wrote a rationale; `standard` is what the usual tools compute. The
same pair of texts differs by several points between them, so no number leaves this file without its variant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from mulcot.errors import MulcotError
from mulcot.metrics.bleu import corpus_bleu, pair_bleu
from mulcot.metrics.bootstrap import Interval, mean_intervals
from mulcot.metrics.distinct import corpus_distinct, text_distinct
from mulcot.metrics.meteor import Synonyms, meteor
from mulcot.metrics.rouge import published_rouge_l, standard_rouge_l
from mulcot.metrics.similarity import MAX_PIECES, MiniLM, find_minilm
from mulcot.metrics.tokenisation import MAX_CHARACTERS, TokenCache, comparable, cut_words
from mulcot.metrics.wordnet import find_wordnet, open_wordnet
from mulcot.progress import Reporter

CHAIN_METRICS = ("bleu", "meteor", "rouge_l", "distinct_1", "distinct_2", "similarity")
NO_WORDNET = (
    "WordNet was not found; meteor_exact_stem leaves synonyms out and is not comparable. "
    "Debian: apt-get install wordnet-base"
)
NOT_WANTED = "not asked for"
HEADING = "Solution:"
"""What Multimodal-CoT writes before a rationale; alone it stands for one that nobody wrote."""

Pair = tuple[str, str]
"""A generated text and its reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainScores:
    """One variant's scores of one set of pairs; None where a metric could not be computed."""

    scores: dict[str, float | None]
    """`CHAIN_METRICS`, between 0 and 1."""
    pairs: int = 0
    """How many pairs they are about."""
    beside: dict[str, float | int] = field(default_factory=dict)
    """Further numbers, each under a name of its own."""
    per_pair: dict[str, list[float]] = field(default_factory=dict)
    """The scores of every pair, where the variant's value is their mean: what intervals and comparisons rest on."""
    how: dict[str, str] = field(default_factory=dict)
    """The exact definition of each metric: tool, version, settings."""
    notes: dict[str, str] = field(default_factory=dict)
    """Why a score is absent, or what was left out of it."""

    def intervals(self, seed: int = 0) -> dict[str, Interval]:
        """95 % bootstrap intervals of the scores that are means over pairs."""
        known = {name: column for name, column in self.per_pair.items() if self.scores.get(name) is not None}
        return mean_intervals(known, seed)


class ChainScorer:
    """Scores pairs; words, stems, synonyms and vectors are looked up once however many sets it scores."""

    def __init__(
        self,
        *,
        wordnet: Path | None = None,
        minilm: Path | None = None,
        similarity: bool = True,
        reporter: Reporter | None = None,
        variants: Sequence[str] = ("paper", "standard"),
    ) -> None:
        self._variants = {name: _VARIANTS[name] for name in variants}
        self._reporter = reporter
        self._words = TokenCache()
        self._notes: dict[str, str] = {}
        self._wordnet_source = ""
        self._synonyms = self._open_wordnet(wordnet)
        self._model = self._open_model(minilm) if similarity else None
        if not similarity:
            self._notes["similarity"] = NOT_WANTED

    def score(self, pairs: Sequence[Pair], alone: Sequence[str] = ()) -> dict[str, ChainScores]:
        """Every variant that was asked for. `alone` are generated texts without a reference."""
        if not pairs:
            notes = dict.fromkeys(CHAIN_METRICS, "there are no pairs")
            return {name: ChainScores(scores=dict.fromkeys(CHAIN_METRICS), notes=notes) for name in self._variants}
        known: dict[Any, _Texts] = {}
        out = {}
        for name, variant in self._variants.items():
            if variant.pairs not in known:
                known[variant.pairs] = self._texts(variant.pairs(pairs, alone), meteor=variant.meteor)
            out[name] = variant.scores(self._words, *known[variant.pairs])
        return out

    def _texts(self, pairs: Sequence[Pair], *, meteor: bool) -> _Texts:
        """The texts as they are compared, and what the variants that compare them have in common."""
        said, there, cut = _comparable(pairs)
        shared = _Shared(notes={name: note for name, note in self._notes.items() if meteor or name != "meteor"})
        if cut:
            shared.notes["length"] = f"{cut} texts were compared by their first {MAX_CHARACTERS:,} characters only"
        if meteor:
            self._add_meteor(said, there, shared)
        if self._model is not None:
            shared.per_pair["similarity"] = self._model.cosines(list(zip(said, there, strict=True)))
            shared.how["similarity"] = f"cosine of all-MiniLM-L6-v2, first {MAX_PIECES} word pieces; mean over pairs"
            shared.beside["truncated_predictions"] = self._model.truncated(said)
            shared.beside["truncated_references"] = self._model.truncated(there)
        return _Texts(said, there, shared)

    def _add_meteor(self, said: Sequence[str], there: Sequence[str], shared: _Shared) -> None:
        words = self._words.treebank
        values = [meteor(words(p), words(r), self._synonyms) for p, r in zip(said, there, strict=True)]
        if self._synonyms is None:
            shared.beside["meteor_exact_stem"] = fmean(values)
        else:
            shared.per_pair["meteor"] = values
            shared.how["meteor"] = (
                f"METEOR of NLTK {version('nltk')} (alpha 0.9, beta 3, gamma 0.5), WordNet from "
                f"{self._wordnet_source}, Treebank words, lowercased; mean over pairs"
            )

    def _open_wordnet(self, path: Path | None) -> Synonyms | None:
        found = path or find_wordnet()
        try:
            if found is not None:
                wordnet = open_wordnet(found)
                self._wordnet_source = wordnet.source
                return wordnet.synonyms
        except MulcotError as error:
            if path is not None:
                raise
            self._notes["meteor"] = f"{error.message}. {NO_WORDNET}"
            return None
        self._notes["meteor"] = NO_WORDNET
        return None

    def _open_model(self, path: Path | None) -> MiniLM | None:
        found = path or find_minilm()
        if isinstance(found, str):
            self._notes["similarity"] = found
            return None
        return MiniLM(found, self._reporter)


@dataclass(frozen=True, slots=True)
class _Shared:
    beside: dict[str, float | int] = field(default_factory=dict)
    per_pair: dict[str, list[float]] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def mean(self, name: str) -> float | None:
        return fmean(self.per_pair[name]) if name in self.per_pair else None


class _Texts(NamedTuple):
    said: Sequence[str]
    there: Sequence[str]
    shared: _Shared


def _as_given(pairs: Sequence[Pair], alone: Sequence[str]) -> list[Pair]:
    """What has no reference cannot be compared."""
    return list(pairs)


def _whole_targets(pairs: Sequence[Pair], alone: Sequence[str]) -> list[Pair]:
    """As the published code of Multimodal-CoT has them: what nobody explained is the heading alone."""
    everything = [*pairs, *((text, "") for text in alone)]
    return [(f"{HEADING} {said}".strip(), f"{HEADING} {there}".strip()) for said, there in everything]


def _paper(words: TokenCache, said: Sequence[str], there: Sequence[str], shared: _Shared) -> ChainScores:
    """The published code's definitions."""
    pairs = list(zip(said, there, strict=True))
    per_pair = {
        "bleu": [pair_bleu(words.mteval(p), words.mteval(r)) for p, r in pairs],
        "rouge_l": [published_rouge_l(p, r) for p, r in pairs],
        "distinct_1": [text_distinct(words.treebank(p), 1) for p in said],
        "distinct_2": [text_distinct(words.treebank(p), 2) for p in said],
        **shared.per_pair,
    }
    published = {
        f"distinct_{order}_references": fmean(text_distinct(words.treebank(r), order) for r in there)
        for order in (1, 2)
    }
    distinct = "different over all n-grams per text, Treebank words, lowercased; mean over predictions"
    how = {
        "bleu": "BLEU-4 per pair, 13a words, no smoothing; mean over pairs",
        "rouge_l": "F of rouge 1.0.1: sentences cut at periods, summary level, each word counted once; mean over pairs",
        "distinct_1": distinct,
        "distinct_2": distinct,
        "distinct_1_references": "as published: computed on the references, the same for every model",
        **shared.how,
    }
    notes = dict(shared.notes)
    if empty := sum(not text.strip() for text in said):
        notes["empty"] = f"{empty} empty predictions count 0; the published code stops at them"
    return ChainScores(
        scores={name: fmean(per_pair[name]) if name in per_pair else None for name in CHAIN_METRICS},
        pairs=len(pairs),
        beside={**published, **shared.beside},
        per_pair=per_pair,
        how=how,
        notes=notes,
    )


def _multimodal_cot(words: TokenCache, said: Sequence[str], there: Sequence[str], shared: _Shared) -> ChainScores:
    """What the published code of Multimodal-CoT prints about rationales. It knows neither METEOR nor Distinct."""
    pairs = list(zip(said, there, strict=True))
    bleu = {order: [pair_bleu(cut_words(p), cut_words(r), order) for p, r in pairs] for order in (1, 4)}
    # It gives `rouge` the target as the prediction, which decides between equally long subsequences.
    rouge = [published_rouge_l(r, p) for p, r in pairs]
    over = f"both with the heading {HEADING!r}, which alone stands for a missing rationale; mean over pairs"
    return ChainScores(
        scores={
            **dict.fromkeys(CHAIN_METRICS),
            "bleu": fmean(bleu[4]),
            "rouge_l": fmean(rouge),
            "similarity": shared.mean("similarity"),
        },
        pairs=len(pairs),
        beside={"bleu_1": fmean(bleu[1])},
        per_pair={"bleu": bleu[4], "rouge_l": rouge, **shared.per_pair},
        how={
            "bleu": f"BLEU-4 per pair, words cut at blanks and periods, no smoothing; {over}",
            "bleu_1": "BLEU-1 per pair, else like bleu",
            "rouge_l": f"F of rouge 1.0.1 with prediction and reference the other way round, as published; {over}",
            **shared.how,
        },
        notes=shared.notes,
    )


def _standard(words: TokenCache, said: Sequence[str], there: Sequence[str], shared: _Shared) -> ChainScores:
    """The usual tools' definitions."""
    bleu, signature = corpus_bleu(said, there)
    rouge = [standard_rouge_l(words.stems(p), words.stems(r)) for p, r in zip(said, there, strict=True)]
    distinct = "different over all n-grams of all predictions together, Treebank words, lowercased"
    return ChainScores(
        scores={
            "bleu": bleu,
            "meteor": shared.mean("meteor"),
            "rouge_l": fmean(rouge),
            "distinct_1": corpus_distinct(map(words.treebank, said), 1),
            "distinct_2": corpus_distinct(map(words.treebank, said), 2),
            "similarity": shared.mean("similarity"),
        },
        pairs=len(said),
        beside=dict(shared.beside),
        per_pair={"rouge_l": rouge, **shared.per_pair},
        how={
            "bleu": f"sacrebleu {signature}",
            "rouge_l": "F of rougeL as in rouge-score 0.1.2, with its stemmer; mean over pairs",
            "distinct_1": distinct,
            "distinct_2": distinct,
            **shared.how,
        },
        notes=dict(shared.notes),
    )


class _Variant(NamedTuple):
    scores: Callable[[TokenCache, Sequence[str], Sequence[str], _Shared], ChainScores]
    pairs: Callable[[Sequence[Pair], Sequence[str]], list[Pair]] = _as_given
    meteor: bool = True


_VARIANTS = {
    "paper": _Variant(_paper),
    "multimodal_cot": _Variant(_multimodal_cot, _whole_targets, meteor=False),
    "standard": _Variant(_standard),
}


def _comparable(pairs: Sequence[Pair]) -> tuple[list[str], list[str], int]:
    said = [comparable(prediction) for prediction, _ in pairs]
    there = [comparable(reference) for _, reference in pairs]
    return [text for text, _ in said], [text for text, _ in there], sum(cut for _, cut in (*said, *there))
