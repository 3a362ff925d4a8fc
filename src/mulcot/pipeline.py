"""The whole product on one screen: how a run goes through the stages of its method, in order (see `methods`).

A stage that is finished for the same inputs and settings is skipped; any other is run, continuing what it finds. The
same command therefore starts, continues and completes a run.

Of several processes (`torchrun`) the first does everything; the others follow what it writes into the run folder, and
help with the stages that are `parallel`.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from mulcot.data_requirements import data_lacking
from mulcot.datasets.statistics import SplitStatistics
from mulcot.errors import MulcotError, NothingUsable, RunError, StageMissing, UnknownName
from mulcot.extras import need
from mulcot.fingerprints import input_hashes, stage_fingerprint
from mulcot.progress import Reporter
from mulcot.provenance import provenance
from mulcot.recipe import Loaded, Recipe
from mulcot.records import Json
from mulcot.rundir import RunFolder, StageRecord
from mulcot.stages.base import Job, Stage

POLL = 0.2
"""Seconds between two looks of a helping process at the run folder."""


@dataclass(frozen=True)
class Outcome:
    """How one stage ended."""

    stage: str
    skipped: bool
    record: StageRecord


def run(loaded: Loaded, reporter: Reporter, first: str | None = None, last: str | None = None) -> list[Outcome]:
    """Runs the recipe's stages from `first` to `last`; stages before `first` must be finished."""
    stages = loaded.recipe.plan.stages
    helping = int(os.environ.get("RANK", "0")) > 0
    reporter = Reporter.silent() if helping else reporter
    chosen = _without_optional(between(stages, first, last), loaded.recipe)
    if last is None:
        # The first was asked for: where the recipe does not describe it, that is an error.
        end = (number for number, name in enumerate(chosen) if number and loaded.recipe.stage(name) is None)
        chosen = chosen[: next(end, None)]
    folder = RunFolder(loaded.folder)
    if helping:
        since = time.time()
        for name in chosen:
            _take_part(name, loaded, folder, since)
        return []
    with folder.locked():
        _say_what_is_kept(chosen[0], loaded, folder, reporter)
        _need_extras(chosen, loaded, folder, reporter)
        folder.write_recipe(loaded.text)
        outcomes = []
        for name in chosen:
            if name != "dataset":
                _look_at_data(chosen, loaded, folder)
            outcomes.append(_run_stage(name, loaded, folder, reporter))
        return outcomes


def between(stages: tuple[str, ...], first: str | None, last: str | None) -> tuple[str, ...]:
    """The part of a method from `first` to `last`, both included."""
    for name in (first, last):
        if name is not None and name not in stages:
            raise UnknownName("stage", name, stages)
    start = stages.index(first) if first else 0
    stop = stages.index(last) + 1 if last else len(stages)
    if start >= stop:
        raise MulcotError(f"--from {first} comes after --to {last}", hint=f"The order is: {', '.join(stages)}.")
    return stages[start:stop]


def _without_optional(chosen: tuple[str, ...], recipe: Recipe) -> tuple[str, ...]:
    """The stages without those that the recipe may and does leave out; the first and the last were asked for."""
    optional = recipe.plan.optional
    inner = (name for name in chosen[1:-1] if name not in optional or recipe.stage(name) is not None)
    return (*chosen[:1], *inner, *chosen[1:][-1:])


@dataclass(frozen=True)
class Undone:
    """Where a run ends early, since the recipe does not describe the next stage."""

    stage: str
    """The stage that has no section."""
    trains: bool
    """Whether any model learns before."""
    text: str


def left_undone(recipe: Recipe) -> Undone | None:
    """What a whole run of this recipe does not reach; None where it goes through all stages."""
    stages = _without_optional(recipe.plan.stages, recipe)
    missing = next((name for name in stages if recipe.stage(name) is None), None)
    if missing is None:
        return None
    place = stages.index(missing)
    later = [name for name in stages[place:] if name != "report" and recipe.stage(name) is not None]
    trains = any(name in recipe.plan.trained for name in stages[:place])
    text = f"the recipe has no section {missing!r}, so a run ends after {stages[place - 1]}"
    text += f" and does not reach {', '.join(later)}" if later else ""
    return Undone(missing, trains, text if trains else f"nothing is trained: {text}")


def _look_at_data(chosen: tuple[str, ...], loaded: Loaded, folder: RunFolder) -> None:
    """Ends the run where a stage to come will not find what it needs, before any stage is paid for or waited for."""
    recipe = loaded.recipe
    dataset = folder.stage(recipe.plan.number("dataset"), "dataset")
    if dataset.record is None:
        return
    path = dataset / "statistics.json"
    try:
        found = json.loads(path.read_text("utf-8"))["splits"]
        splits = {name: SplitStatistics.from_json(split) for name, split in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        hint = f"Delete {dataset / 'stage.json'}; the same command writes it again."
        raise RunError(f"{path} cannot be read", hint=hint) from None
    lacks = data_lacking(recipe.described(), recipe.plan.trained, splits)
    problems = [f"{lack.stage}: {lack.text}" for lack in lacks if lack.stage in chosen]
    if problems:
        hint = f"`mulcot data stats --recipe {loaded.path}` shows what there is; `--to` ends a run earlier."
        if recipe.dataset.limit is not None:
            hint = f"dataset.limit takes the first {recipe.dataset.limit:,} rows of each split. {hint}"
        raise NothingUsable("\n".join(problems), hint=hint)


def _say_what_is_kept(first: str, loaded: Loaded, folder: RunFolder, reporter: Reporter) -> None:
    """Stages before `first` stay as they are; where the recipe has changed since, that is said."""
    stages = loaded.recipe.plan.stages
    for number, name in enumerate(stages[: stages.index(first)], start=1):
        record = folder.stage(number, name).record
        if record is not None and record.settings != _sections(name, loaded):
            reporter.say(f"{name}: kept, although the recipe has changed since")


def _need_extras(chosen: tuple[str, ...], loaded: Loaded, folder: RunFolder, reporter: Reporter) -> None:
    """Asks for the packages of all stages that will run, before the first one spends time or money."""
    runs = False
    for name in chosen:
        if loaded.recipe.stage(name) is None:
            return  # the run ends there with an error
        stage, job = prepare(name, loaded, folder, reporter)
        done = job.folder.record
        # What follows a stage that runs will run, too; before that, all inputs are there to be compared.
        runs = (
            runs or done is None or done.fingerprint != stage_fingerprint(stage, job, input_hashes(stage, job, folder))
        )
        if runs:
            need(*stage.extras())


def _sections(name: str, loaded: Loaded) -> Json:
    return {key: loaded.written.get(key) for key in (name, "task")}


def _run_stage(name: str, loaded: Loaded, run_folder: RunFolder, reporter: Reporter) -> Outcome:
    stage, job = prepare(name, loaded, run_folder, reporter)
    folder = job.folder
    inputs = input_hashes(stage, job, run_folder)
    wanted = stage_fingerprint(stage, job, inputs)
    done = folder.record
    if done is not None and done.fingerprint == wanted:
        reporter.say(f"{name}: unchanged, skipped")
        return Outcome(name, True, done)
    known = done.outputs if done else {}
    folder.begin(wanted, stage.keeps)
    started, clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.monotonic()
    counts = stage.run(job)
    record = StageRecord(
        stage=name,
        fingerprint=wanted,
        settings=_sections(name, loaded),
        inputs=inputs,
        outputs=folder.outputs(known, stage.bulky),
        counts=counts,
        warnings=tuple(job.warnings),
        started=started,
        seconds=round(time.monotonic() - clock, 3),
        provenance=provenance(),
    )
    folder.finish(record)
    folder.clear(stage.scratch)
    return Outcome(name, False, record)


def _take_part(name: str, loaded: Loaded, run_folder: RunFolder, since: float) -> None:
    """What every process but the first does for a stage: take part where it is parallel, and wait until it is whole, or
    until the first one has ended with an error.
    """
    stage, job = prepare(name, loaded, run_folder, Reporter.silent())
    wanted = stage_fingerprint(stage, job, input_hashes(stage, job, run_folder))
    helped = not stage.parallel
    while (done := job.folder.record) is None or done.fingerprint != wanted:
        if not helped and done is None and job.folder.begun == wanted:
            need(*stage.extras())
            stage.run(job)
            helped = True
        if run_folder.broken_off(since):
            raise RunError("the first process has ended with an error", hint="It says which; this one only helped.")
        time.sleep(POLL)


def prepare(name: str, loaded: Loaded, run_folder: RunFolder, reporter: Reporter) -> tuple[Stage, Job]:
    """A stage with what it gets to work with."""
    recipe = loaded.recipe
    stage = recipe.stage(name)
    if stage is None:
        raise StageMissing(f"the recipe has no section {name!r}", hint="Add it, or end the run earlier with --to.")
    plan = recipe.plan
    job = Job(
        folder=run_folder.stage(plan.number(name), name),
        before={each: run_folder.stage(plan.number(each), each) for each in _before(stage, name, recipe)},
        task=recipe.task,
        dataset=recipe.dataset,
        seed=recipe.seed,
        reporter=reporter,
    )
    return stage, job


def _before(stage: Stage, name: str, recipe: Recipe) -> tuple[str, ...]:
    """The stages it reads: those it needs, and of those it wants the ones that the recipe describes."""
    plan = recipe.plan.stages
    earlier = [each for each in plan[: plan.index(name)] if recipe.stage(each) is not None]
    return tuple(dict.fromkeys((*(need.stage for need in stage.needs()), *stage.wants(earlier))))


def status(path: Path) -> list[tuple[str, str, StageRecord | None]]:
    """Each stage folder of a run with its state: finished, unfinished, or outdated by an earlier stage."""
    folder = RunFolder(path)
    if not (path / "recipe.yaml").exists():
        raise RunError(f"{path} is not a run folder", hint="A run folder holds a recipe.yaml; `mulcot run` makes one.")
    return [(stage.path.name, state, stage.record) for stage, state in folder.states()]
