"""The numbers of `scores.json` in the shape in which they are read: one row per model, floors and headline beside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from mulcot.evaluation.scores import Comparison, LabelQuality, ModelScores, SetScores
from mulcot.methods import Method, across
from mulcot.report.run import Run
from mulcot.report.terms import LABEL_MEASURES

TEACHER = "teacher"
TITLES = {
    "without_distillation": "student without distillation",
    "assistant_generated": "assistant, two generations",
    "student_generated": "student, two generations",
    "text_only": "text only",
    "image_only": "image only",
}
OVERLAP = {
    "bleu_1": "BLEU-1",
    "bleu": "BLEU-4",
    "meteor": "METEOR",
    "meteor_exact_stem": "METEOR without synonyms",
    "rouge_l": "ROUGE-L",
    "distinct_1": "Distinct-1",
    "distinct_2": "Distinct-2",
    "similarity": "similarity",
}


class Value(NamedTuple):
    """A share, and its 95 % interval where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


class ModelRow(NamedTuple):
    """One model on one set."""

    model: str
    title: str
    scores: ModelScores
    values: dict[str, Value]
    """By the names of `LABEL_MEASURES`."""


class ChainRow(NamedTuple):
    """One model's chains by one variant of the metrics."""

    title: str
    values: list[Value | None]
    floors: list[float | None]
    """The same metric for another example's reference."""


class ChainTable(NamedTuple):
    """All chains of one set by one variant."""

    variant: str
    measures: list[str]
    rows: list[ChainRow]
    notes: list[str]
    """Why a measure is missing, or what has to be known about it."""

    @property
    def floored(self) -> bool:
        """Whether there is a floor to compare with."""
        return any(floor is not None for row in self.rows for floor in row.floors)


def trained_models() -> tuple[str, ...]:
    """The models that learn, of all methods, in their order."""
    return across(lambda method: method.trained)


def title_of(model: str) -> str:
    """The model's name for reading."""
    return TITLES.get(model, model.replace("_", " "))


def ordered(models: dict[str, ModelScores]) -> list[str]:
    """Trained models first, in the order of their method, baselines last."""
    first = (TEACHER, *trained_models())
    last = across(lambda method: method.baselines)

    def place(name: str) -> int:
        if name in last:
            return 100 + last.index(name)
        if name in first:
            return first.index(name)
        begun = [known for known in first if name.startswith(f"{known}_")]
        return first.index(max(begun, key=len)) if begun else 50

    return sorted(models, key=place)


def rows(found: SetScores) -> list[ModelRow]:
    """The main table of a set."""
    return [ModelRow(m, title_of(m), found.models[m], _values(found.models[m].labels)) for m in ordered(found.models)]


def chain_tables(found: SetScores) -> Iterator[ChainTable]:
    """What chains have in common with references, `paper` and `standard` apart."""
    models = [name for name in ordered(found.models) if found.models[name].overlap]
    for variant in dict.fromkeys(variant for name in models for variant in found.models[name].overlap):
        those = {name: found.models[name].overlap[variant] for name in models if variant in found.models[name].overlap}
        measures = [key for key in OVERLAP if any(_number(scores.get(key)) is not None for scores in those.values())]
        table = [
            ChainRow(
                title_of(name),
                [_with_ends(scores, key) for key in measures],
                [_number((scores.get("floor") or {}).get(key)) for key in measures],
            )
            for name, scores in those.items()
        ]
        told = (item for scores in those.values() for item in (scores.get("notes") or {}).items())
        notes = dict.fromkeys(f"{OVERLAP.get(name, name)}: {note}" for name, note in told)
        yield ChainTable(variant, [OVERLAP[key] for key in measures], table, list(notes))


def final_model(found: SetScores, plan: Method) -> str | None:
    """The model that the run was made for: the last of its method that was evaluated."""
    return next((name for name in (*reversed(plan.trained), TEACHER) if name in found.models), None)


def first_set(run: Run) -> tuple[str, SetScores] | None:
    """The set that the headline is about: test, where it was evaluated."""
    if run.scores is None or not run.scores.sets:
        return None
    name = "test" if "test" in run.scores.sets else next(iter(run.scores.sets))
    return name, run.scores.sets[name]


def verdict(one: Comparison) -> str:
    """A paired comparison in words; the exact McNemar test at five per cent decides."""
    if one.mcnemar_p >= 0.05:
        return "no clear difference"
    return f"{title_of(one.first if one.only_first > one.only_second else one.second)} is better"


def overlap_of(scores: ModelScores, measure: str) -> float | None:
    """One chain measure as published for MulCoT-RD."""
    return _number((scores.overlap.get("paper") or {}).get(measure))


def similarity_of(scores: ModelScores) -> float | None:
    """How near in meaning chains come to the references that there are; `multimodal_cot` counts missing ones too."""
    return _number((scores.overlap.get("paper") or scores.overlap.get("standard") or {}).get("similarity"))


def rouge_of(scores: ModelScores) -> Value | None:
    """ROUGE-L of rationales as the Multimodal-CoT paper reports it, which is the standard one."""
    return _with_ends(scores.overlap.get("standard") or {}, "rouge_l")


def _values(labels: LabelQuality) -> dict[str, Value]:
    out = {}
    for name in LABEL_MEASURES:
        low, high = labels.intervals.get(name, (None, None))
        out[name] = Value(getattr(labels, name), low, high)
    return out


def _with_ends(scores: dict[str, Any], key: str) -> Value | None:
    value = _number(scores.get(key))
    if value is None:
        return None
    ends = (scores.get("intervals") or {}).get(key)
    low, high = map(_number, ends) if isinstance(ends, list) and len(ends) == 2 else (None, None)
    return Value(value, low, high)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
