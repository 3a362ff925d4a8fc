"""Examples for the gallery: drawn evenly from sets, labels and outcomes, with what everyone said about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from mulcot.evaluation.grounding import world_chain
from mulcot.multimodal_cot.formats import RATIONALE
from mulcot.multimodal_cot.rationales import TaughtRationale
from mulcot.records import Example, Prediction, Rationale, Rejected, content_id, read_lines
from mulcot.report.results import ordered, title_of, trained_models
from mulcot.report.run import Run
from mulcot.report.stored_predictions import foreign_examples, labelled_examples, lines_of, read_answer
from mulcot.report.terms import POSTS, Terms
from mulcot.tasks.letter_reading import LETTERS

PREDICTION = "Prediction"
DRAWN = "written from what was drawn"


@dataclass(frozen=True)
class CaseAnswer:
    """What one model says about one example."""

    model: str
    answer: Prediction | Rejected
    gold: str

    @property
    def title(self) -> str:
        """The model's name for reading."""
        return title_of(self.model)

    @property
    def label(self) -> str | None:
        """The label it gives."""
        return self.answer.label if isinstance(self.answer, Prediction) else None

    @property
    def right(self) -> bool:
        """Whether it is the right one."""
        return self.label == self.gold

    @property
    def problem(self) -> str:
        """Why there is no label."""
        reason = self.answer.problem if isinstance(self.answer, Prediction) else self.answer.reason
        return reason.replace("_", " ")

    @property
    def probabilities(self) -> list[tuple[str, float]]:
        """Every label with its probability."""
        return list(self.answer.probabilities.items()) if isinstance(self.answer, Prediction) else []

    @property
    def disagrees(self) -> bool:
        """Its chain ends with another label than the one it gives."""
        return isinstance(self.answer, Prediction) and self.answer.agrees is False


@dataclass(frozen=True)
class ShownChain:
    """One chain, for reading beside others."""

    title: str
    fields: Mapping[str, str]
    label: str | None
    right: bool
    note: str = ""


@dataclass(frozen=True)
class Case:
    """One example with everything said about it."""

    set: str
    example: Example
    opinions: tuple[CaseAnswer, ...]
    reference: ShownChain | None
    words: Terms = POSTS
    foreign: bool = False
    """Of another dataset, whose pictures are not the run's."""

    @cached_property
    def meant(self) -> dict[str, str]:
        """What the letters of a question stand for."""
        return dict(zip(LETTERS, self.example.choices, strict=False))

    @cached_property
    def main(self) -> list[CaseAnswer]:
        """The trained models' opinions."""
        return [opinion for opinion in self.opinions if opinion.model in trained_models()]

    @cached_property
    def others(self) -> list[CaseAnswer]:
        """Everyone else's."""
        return [opinion for opinion in self.opinions if opinion.model not in trained_models()]

    @cached_property
    def voices(self) -> list[ShownChain]:
        """All chains, side by side."""
        return [*([self.reference] if self.reference else []), *(v for o in self.main if (v := _voice(o)) is not None)]

    @cached_property
    def rows(self) -> list[tuple[str, list[str]]]:
        """Field by field: its name, and what each voice says."""
        names = dict.fromkeys(name for voice in self.voices for name in voice.fields if name != PREDICTION)
        return [(name.replace("_", " "), [voice.fields.get(name, "") for voice in self.voices]) for name in names]

    @cached_property
    def outcome(self) -> str:
        """Who is right, as a filter: `all`, `none`, or the names of those who are."""
        return outcome_of(tuple((opinion.model, opinion.right) for opinion in self.main))

    @cached_property
    def disputes(self) -> list[str]:
        """Disagreements: between label and chain, and between models."""
        differ = f"{self.words.label} and {self.words.chain} differ"
        found = [f"{opinion.title}: {differ}" for opinion in self.main if opinion.disagrees]
        labels = {opinion.label for opinion in self.main}
        return found + (["models differ"] if len(labels) > 1 else [])


@dataclass(frozen=True)
class Drawn:
    """The cases, and what they were drawn from."""

    cases: list[Case]
    whole: int
    """Examples with answers."""
    elsewhere: list[str]
    """Sets whose examples the run folder does not hold."""


def outcome_of(right: tuple[tuple[str, bool], ...]) -> str:
    """The outcome of one example, told from who is right."""
    winners = [title_of(model) for model, good in right if good]
    if len(winners) == len(right):
        return "all right" if len(right) > 1 else "right"
    return f"only {' and '.join(winners)} right" if winners else "all wrong" if len(right) > 1 else "wrong"


def draw_cases(run: Run, number: int, seed: int) -> Drawn:
    """At most `number` cases; which ones depends on the seed and their ids alone."""
    own = labelled_examples(run)
    groups: dict[tuple[str, str, str], list[_CasePlace]] = {}
    sheets: list[_SetPredictions] = []
    elsewhere: list[str] = []
    whole = 0
    for sheet in _sheets(run):
        examples = sheet.foreign or own
        known = [(place, examples[i]) for place, i in enumerate(sheet.ids) if i in examples]
        whole += len(known)
        if not known:
            elsewhere.append(sheet.name)
        for place, example in known:
            group = (sheet.name, example.label or "", sheet.outcome(place, example))
            groups.setdefault(group, []).append(_CasePlace(content_id(str(seed), example.id), len(sheets), place))
        sheets.append(sheet)
    chosen = sorted((at.sheet, at.place) for at in _evenly([sorted(group) for group in groups.values()], number))
    wanted = {sheets[sheet].ids[place] for sheet, place in chosen if not sheets[sheet].foreign}
    rationales, taught = _rationales(run, wanted), _taught(run, wanted)
    cases = [_case(sheets[sheet], place, own, rationales, taught, run.words) for sheet, place in chosen]
    return Drawn(cases, whole, elsewhere)


class _CasePlace(NamedTuple):
    """Where an example stands: its number among the drawn, its set and its line."""

    key: str
    sheet: int
    place: int


@dataclass(frozen=True)
class _SetPredictions:
    """The predictions of one set; only the trained models' are read in full."""

    name: str
    paths: dict[str, Path]
    lines: dict[str, list[str]]
    told: dict[str, list[Prediction | Rejected]]
    foreign: dict[str, Example]
    """The set's own examples, where it is of another dataset."""

    @cached_property
    def ids(self) -> list[str]:
        """The examples, in order."""
        return [answer.id or "" for answer in next(iter(self.told.values()))]

    def outcome(self, place: int, example: Example) -> str:
        """Who is right."""
        return outcome_of(
            tuple((o.model, o.right) for o in self.opinions(place, example) if o.model in trained_models())
        )

    def opinions(self, place: int, example: Example, others: bool = False) -> tuple[CaseAnswer, ...]:
        """What the trained models, or all, say at one place."""
        said = {model: those[place] for model, those in self.told.items() if place < len(those)}
        for model, lines in self.lines.items() if others else ():
            if place < len(lines):
                said[model] = read_answer(lines[place], self.paths[model])
        gold = example.label or ""
        return tuple(CaseAnswer(model, answer, gold) for model, answer in said.items() if answer.id == example.id)


def _sheets(run: Run) -> Iterator[_SetPredictions]:
    """The sets with predictions of a trained model."""
    for name, found in (run.scores.sets if run.scores else {}).items():
        paths = {m: p for m in ordered(found.models) if (p := run.file("evaluate", f"predictions/{name}/{m}.jsonl"))}
        lines = {model: lines_of(path) for model, path in paths.items()}
        told = {m: [read_answer(line, paths[m]) for line in lines.pop(m)] for m in paths if m in trained_models()}
        if told:
            yield _SetPredictions(name, paths, lines, told, foreign_examples(run, name))


def _evenly(groups: list[list[_CasePlace]], number: int) -> list[_CasePlace]:
    """One of each group in turn, until there are enough."""
    queues = [iter(group) for group in groups]
    chosen: list[_CasePlace] = []
    while queues and len(chosen) < number:
        for queue in list(queues):
            drawn = next(queue, None)
            if drawn is None:
                queues.remove(queue)
            elif len(chosen) < number:
                chosen.append(drawn)
    return chosen


def _rationales(run: Run, wanted: set[str]) -> dict[str, Rationale]:
    path = run.file("teacher", "rationales.jsonl")
    if path is None:
        return {}
    return {
        rationale.example_id: rationale for rationale in read_lines(path, Rationale) if rationale.example_id in wanted
    }


def _taught(run: Run, wanted: set[str]) -> dict[str, TaughtRationale]:
    """The right rationales of multimodal-cot, as its first model learns to write them."""
    path = run.file("rationale", "taught.jsonl")
    return (
        {}
        if path is None
        else {row.example_id: row for row in read_lines(path, TaughtRationale) if row.example_id in wanted}
    )


def _case(
    sheet: _SetPredictions,
    place: int,
    own: Mapping[str, Example],
    rationales: Mapping[str, Rationale],
    taught: Mapping[str, TaughtRationale],
    words: Terms,
) -> Case:
    example = (sheet.foreign or own)[sheet.ids[place]]
    opinions = sheet.opinions(place, example, others=True)
    if sheet.foreign:
        return Case(sheet.name, example, opinions, _reference(example, None, None), words, foreign=True)
    reference = _reference(example, rationales.get(example.id), taught.get(example.id))
    return Case(sheet.name, example, opinions, reference, words)


def _reference(example: Example, rationale: Rationale | None, taught: TaughtRationale | None) -> ShownChain | None:
    """The right rationale; without one the teacher's chain, or what the synthetic world or a person says."""
    gold = example.label
    if taught is not None:
        author = "a person" if taught.source == "human" else f"the {taught.source}"
        drawn = taught.source == "human" and example.truth is not None
        note = DRAWN if drawn else f"written by {author}"
        return ShownChain("right rationale", {RATIONALE: taught.text}, gold, right=True, note=note)
    if rationale is not None:
        note = {1: "found alone", 2: "with the label given"}.get(rationale.stage, "imported")
        return ShownChain("teacher", rationale.fields, rationale.prediction, rationale.prediction == gold, note)
    known = world_chain(example)
    if known is not None:
        return ShownChain("reference", known, gold, right=True, note=DRAWN)
    if example.rationale:
        return ShownChain("reference", {"Explanation": example.rationale}, gold, right=True, note="came with the data")
    return None


def _voice(opinion: CaseAnswer) -> ShownChain | None:
    answer = opinion.answer
    if not isinstance(answer, Prediction) or answer.chain is None:
        return None
    note = answer.chain_problem.replace("_", " ") or ("cut off" if answer.cut else "")
    fields = answer.fields or {"Reply": answer.chain}
    return ShownChain(opinion.title, fields, answer.chain_label, answer.chain_label == opinion.gold, note)


def labels_of(cases: list[Case]) -> Iterator[str]:
    """The right labels that occur, in their order of appearance."""
    yield from dict.fromkeys(case.example.label or "" for case in cases)
