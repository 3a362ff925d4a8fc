"""Signatures of what goes wrong in distillation: looked for in a run's numbers, told with evidence and remedy.

The first three are named by the authors of the method; the thresholds of the others are ours and stand here, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from mulcot.evaluation.scores import Comparison, ModelScores, SetScores
from mulcot.report.results import overlap_of, similarity_of, title_of
from mulcot.report.run import Run
from mulcot.report.terms import TWO_STAGE

SIMILARITY = 0.85
BEHIND = 0.05
DISTINCT, METEOR = 0.5, 0.45
STAGE1 = 0.6
LABEL_GIVEN_SHARE = 0.4
GIVEN_UP = 0.1
AGREES = 0.9
ECE = 0.1
LEAKED = 0.01
DRIFT = 0.1
BROKEN = 0.05
BY_CHANCE = 0.05


class Finding(NamedTuple):
    """One signature that was found."""

    title: str
    evidence: list[str]
    advice: str
    line: str = ""
    """The recipe line to change."""
    named_by: str = "mulcot"
    """`authors` where the method's authors name it."""


class Diagnosis(NamedTuple):
    """Findings, checks without a finding, and what could not be judged."""

    findings: list[Finding]
    clear: list[str]
    unknown: list[str]


class NoFinding(Enum):
    """Why there is no finding."""

    CLEAR = "not found"
    UNKNOWN = "the run has no numbers to judge by"


class Signature(NamedTuple):
    """One signature."""

    title: str
    judge: Callable[[Run], Finding | NoFinding]


def diagnose(run: Run) -> Diagnosis:
    """Looks for every signature."""
    findings: list[Finding] = []
    clear: list[str] = []
    unknown: list[str] = []
    for rule in RULES:
        found = rule.judge(run)
        if isinstance(found, Finding):
            findings.append(found)
        else:
            (unknown if found is NoFinding.UNKNOWN else clear).append(rule.title)
    return Diagnosis(findings, clear, unknown)


def _similarity(run: Run) -> Finding | NoFinding:
    known = [(name, model, s) for name, model, _, one in _chains(run) if (s := similarity_of(one)) is not None]
    low = [f"{title_of(model)} on {name}: similarity {s:.1%}" for name, model, s in known if s < SIMILARITY]
    advice = "The chains say something else than the references. Read the references and their prompts first."
    line = "task: {templates: my-prompts.yaml}   # and read them with `mulcot teacher review`"
    return _finding(known, low, "Chains are far from their references", advice, line, "authors")


def _behind(run: Run) -> Finding | NoFinding:
    known, far = [], []
    for name, found in _sets(run):
        if {"assistant", "student"} <= set(found.models):
            pair = [found.models[model].labels.accuracy for model in ("assistant", "student")]
            known.append(pair)
            if pair[0] - pair[1] > BEHIND:
                far.append(f"{name}: assistant {pair[0]:.1%}, student {pair[1]:.1%}")
    now = run.setting("student", "objective", "soft", default=0.3)
    advice = (
        "Soft labels may bind the student to more than it can hold. Give the hard labels more weight, or train longer."
    )
    line = f"student: {{objective: {{soft: 0.1}}}}   # now {now}; the authors suggest 0.1 to 0.2"
    return _finding(known, far, "The student is well behind the assistant", advice, line, "authors")


def _distinct(run: Run) -> Finding | NoFinding:
    known, found = [], []
    for name, model, _, one in _chains(run):
        distinct, meteor = overlap_of(one, "distinct_2"), overlap_of(one, "meteor")
        if distinct is not None and meteor is not None:
            known.append(model)
            if distinct > DISTINCT and meteor < METEOR:
                found.append(f"{title_of(model)} on {name}: Distinct-2 {distinct:.1%}, METEOR {meteor:.1%}")
    advice = (
        "Chains vary much and match little: noise is being learned. Raise the weight of the hard labels, or filter."
    )
    line = "student: {objective: {soft: 0.2}}   # or teacher: {filters: {...}}"
    if run.method == TWO_STAGE:
        advice = "Rationales vary much and match little: noise is learned. Train longer, or filter what is taught."
        line = "rationale: {training: {epochs: ...}}   # or teacher: {filters: {...}}"
    return _finding(known, found, f"Diverse {run.words.chain}s that match little", advice, line, "authors")


def _teacher_accuracy(run: Run) -> Finding | NoFinding:
    accuracy = (run.teacher or {}).get("stage1_accuracy")
    if accuracy is None:
        return NoFinding.UNKNOWN
    low = [f"stage 1 found {accuracy:.1%} of the labels"] if accuracy < STAGE1 else []
    advice = "The teacher rarely finds the label by itself, so its explanations are made to fit. Ask a stronger one."
    return _finding([1], low, "The teacher finds few labels by itself", advice, "teacher: {backend: {model: ...}}")


def _label_given(run: Run) -> Finding | NoFinding:
    accepted = (run.teacher or {}).get("accepted") or {}
    whole = sum(accepted.values())
    if not whole or set(accepted) == {"imported"}:
        return NoFinding.UNKNOWN
    share = accepted.get("stage2", 0) / whole
    high = [f"{accepted['stage2']:,} of {whole:,} chains ({share:.0%}) were written with the label given"]
    advice = "Such chains justify a label instead of finding it. Allow more attempts before the label is given."
    now = run.setting("teacher", "retry", "stage1_attempts", default=3)
    line = f"teacher: {{retry: {{stage1_attempts: {int(now) + 2 if isinstance(now, int) else 5}}}}}   # now {now}"
    title = "Many chains were written with the label given"
    return _finding([1], high if share > LABEL_GIVEN_SHARE else [], title, advice, line)


def _given_up(run: Run) -> Finding | NoFinding:
    summary = run.teacher or {}
    whole, failed = summary.get("examples", 0), summary.get("failed", 0)
    if not whole:
        return NoFinding.UNKNOWN
    reasons = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in (summary.get("reasons") or {}).items())
    high = [f"{failed:,} of {whole:,} examples: {reasons}"] if failed / whole > GIVEN_UP else []
    advice = (
        "These examples teach their label alone. The reasons tell whether prompts, limits or filters stand in the way."
    )
    return _finding([1], high, "Many examples have no chain", advice, "teacher: {retry: {stage2_attempts: 5}}")


def _assistant_chains(run: Run) -> Finding | NoFinding:
    counts = run.stages["annotate"].counts if "annotate" in run.stages else {}
    sampled = counts.get("sampled", 0)
    if not sampled:
        return NoFinding.UNKNOWN
    kept = counts.get("accepted", 0)
    low = [f"{kept:,} of {sampled:,} sampled chains were right and whole"] if kept < sampled / 4 else []
    advice = "The assistant adds little. Train it longer, or sample closer to its best guess."
    return _finding(
        [1], low, "Few of the assistant's chains are usable", advice, "assistant: {training: {epochs: ...}}"
    )


def _disagreement(run: Run) -> Finding | NoFinding:
    known, low, ahead = [], [], 0
    label, chain = run.words.label, run.words.chain
    for name, model, _, one in _chains(run):
        found = one.agreement
        if found is None:
            continue
        known.append(model)
        if found.share < AGREES:
            ahead += found.right_chain_only - found.right_label_only
            low.append(
                f"{title_of(model)} on {name}: {label} and {chain} agree on {found.share:.0%} ({found.differ:,} "
                f"differ, {found.unread:,} cannot be read); the {label} alone is right {found.right_label_only:,} "
                f"times, the {chain} alone {found.right_chain_only:,} times"
            )
    weaker, change = (
        ("label", "{reasoning: 0.5, label: 0.5}") if ahead > 0 else ("chain", "{reasoning: 0.9, label: 0.1}")
    )
    advice = f"The chain does not explain the label that is given. Weigh the {weaker}'s loss more, or train longer."
    now = run.setting("student", "objective", "reasoning", default=0.8)
    line = f"student: {{objective: {change}}}   # reasoning is now {now}"
    if run.method == TWO_STAGE:
        advice = "The answer does not follow the rationale it reads. Train it on right rationales, and longer."
        line = "answer: {rationales: gold, training: {epochs: ...}}"
    return _finding(known, low, f"{label.capitalize()} and {chain} disagree", advice, line)


def _confidence(run: Run) -> Finding | NoFinding:
    known, high, named = [], [], ""
    for name, model, _, one in _trained(run):
        if one.calibration:
            first = one.calibration[0]
            known.append(model)
            if first.ece > ECE and first.confidence > first.accuracy:
                after = (
                    f"; {one.calibration[1].ece:.1%} with the fitted temperature" if len(one.calibration) > 1 else ""
                )
                high.append(f"{title_of(model)} on {name}: calibration error {first.ece:.1%}{after}")
                named = model
    advice = "Probabilities promise more than the answers hold. Use the fitted temperature, and stop training earlier."
    line = f"evaluate: {{calibrate: true}}   # {named}: {{training: {{patience: 3}}}}"
    return _finding(known, high, "Over-confident", advice, line)


def _leakage(run: Run) -> Finding | NoFinding:
    leaks = (run.statistics or {}).get("leakage")
    if not leaks:
        return NoFinding.UNKNOWN
    splits = (run.statistics or {}).get("splits", {})
    found = []
    for pair, kinds in leaks.items():
        size = splits.get(pair.rpartition("/")[2], {}).get("count", 0)
        if pair.startswith("train/") and size and kinds.get("both", 0) / size > LEAKED:
            found.append(f"{pair}: {kinds['both']:,} posts stand in both, {kinds['both'] / size:.1%} of the second")
    advice = "Scores on these splits are too good. Make splits that keep equal posts together."
    return _finding(
        [1],
        found,
        "The same posts in training and evaluation",
        advice,
        "dataset: ...   # other files, or other split shares",
    )


def _drift(run: Run) -> Finding | NoFinding:
    shares = {}
    for name, split in (run.statistics or {}).get("splits", {}).items():
        if name in ("train", "dev", "test") and split.get("count"):
            shares[name] = {label: count / split["count"] for label, count in split["labels"].items()}
    if "train" not in shares or len(shares) < 2:
        return NoFinding.UNKNOWN
    found = []
    for name, those in shares.items():
        far = [x for x in {**shares["train"], **those} if abs(those.get(x, 0) - shares["train"].get(x, 0)) > DRIFT]
        found += [f"{x}: {shares['train'].get(x, 0):.0%} of train, {those.get(x, 0):.0%} of {name}" for x in far]
    advice = "The splits are not alike, so dev picks a state that may not suit test. Make new splits, or mention it."
    return _finding(
        [1], found, "Labels are distributed differently", advice, "dataset: ...   # other files, or other split shares"
    )


def _broken_chains(run: Run) -> Finding | NoFinding:
    known, found = [], []
    label, chains = run.words.label, f"{run.words.chain}s"
    for name, model, _, one in _chains(run):
        if one.chains is not None and one.chains.written:
            known.append(model)
            cut, bad = one.chains.cut, sum(one.chains.problems.values())
            if max(cut, bad) > BROKEN * one.chains.written:
                found.append(
                    f"{title_of(model)} on {name}: {cut:,} cut, {bad:,} name no {label}, of {one.chains.written:,}"
                )
    now = run.setting("evaluate", "decoding", "max_tokens", default="the default")
    advice = f"Give {chains} more room where they are cut; where they name no {label}, train longer."
    line = f"evaluate: {{decoding: {{max_tokens: 512}}}}   # now {now}"
    return _finding(known, found, f"{chains.capitalize()} are cut off or name no {label}", advice, line)


def _not_above(run: Run) -> Finding | NoFinding:
    known, found = [], []
    final, floors = run.plan.final_model, run.plan.floors
    for name, one in _sets(run):
        for pair in one.comparisons:
            if pair.first == final and pair.second in floors:
                known.append(pair)
                if pair.differences["accuracy"][0] <= 0 or pair.mcnemar_p >= BY_CHANCE:
                    found.append(f"{name}: {_compared(pair)}")
    advice = "It has not learned what the task needs, or needs only one of text and picture. More data or epochs."
    line = f"{final}: {{training: {{epochs: ...}}}}"
    return _finding(known, found, "The model is not clearly above a baseline", advice, line)


def _picture(run: Run) -> Finding | NoFinding:
    known, found = [], []
    for name, model, _, one in _trained(run):
        blank = one.faithfulness.blank if one.faithfulness else None
        if blank is not None and blank.examples:
            known.append(model)
            if blank.labels_changed < BROKEN:
                found.append(
                    f"{title_of(model)} on {name}: a grey picture changed {blank.labels_changed:.0%} of the labels"
                )
    advice = "Labels hardly depend on the picture. Check that pictures are read, and train the vision tower too."
    return _finding(known, found, "The picture does not matter", advice, "student: {backbone: {trained: both}}")


def _finding(
    known: Sequence[object], evidence: list[str], title: str, advice: str, line: str = "", by: str = "mulcot"
) -> Finding | NoFinding:
    if not known:
        return NoFinding.UNKNOWN
    return Finding(title, evidence, advice, line, by) if evidence else NoFinding.CLEAR


def _compared(pair: Comparison) -> str:
    value, low, high, _ = pair.differences["accuracy"]
    against = f"{100 * value:+.1f} points against {title_of(pair.second)}"
    return f"{against} [{100 * low:+.1f}, {100 * high:+.1f}], p = {pair.mcnemar_p:.3f}"


def _sets(run: Run) -> Iterator[tuple[str, SetScores]]:
    yield from (run.scores.sets if run.scores else {}).items()


def _trained(run: Run) -> Iterator[tuple[str, str, SetScores, ModelScores]]:
    """The models that learned here, on every set."""
    for name, found in _sets(run):
        for model in run.plan.trained:
            if model in found.models:
                yield name, model, found, found.models[model]


def _chains(run: Run) -> Iterator[tuple[str, str, SetScores, ModelScores]]:
    """The models whose chains people read."""
    return (row for row in _trained(run) if row[1] in run.plan.explaining)


RULES: tuple[Signature, ...] = (
    Signature("similarity of chains", _similarity),
    Signature("distance between student and assistant", _behind),
    Signature("diversity against overlap of chains", _distinct),
    Signature("the teacher's own accuracy", _teacher_accuracy),
    Signature("share of chains with the label given", _label_given),
    Signature("examples without a chain", _given_up),
    Signature("yield of the assistant's chains", _assistant_chains),
    Signature("agreement of label and chain", _disagreement),
    Signature("confidence against accuracy", _confidence),
    Signature("posts in several splits", _leakage),
    Signature("label shares of the splits", _drift),
    Signature("cut and unread chains", _broken_chains),
    Signature("model against baselines", _not_above),
    Signature("dependence on the picture", _picture),
)
