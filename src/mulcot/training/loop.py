"""The loop. `fit` reads from top to bottom: for every step, add up gradients, move, look around, save.

A step is the same whether one process computes it in one piece or several do in many: every loss is divided by the
number of target tokens of the whole step, which the processes tell each other first.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from mulcot.backbones.vlm.trainable_weights import trainable
from mulcot.errors import Interrupted
from mulcot.progress import Bar, Reporter
from mulcot.records import Json
from mulcot.training.checkpoint import load_checkpoint, save_checkpoint, sync_folder, whole_weights
from mulcot.training.learner import Learner, Packed
from mulcot.training.metrics_file import Journal
from mulcot.training.prefetch import Feed, OptimizerStep
from mulcot.training.processes import Machine
from mulcot.training.schedule import Schedule
from mulcot.training.settings import Training
from mulcot.training.stopping import LossMonitor, Signals, memory_advice


@dataclass(frozen=True)
class Score:
    """How good a state is on dev: `value` decides, `tie` decides between equals."""

    value: float
    tie: float
    details: Json = field(default_factory=dict)
    measure: str = "accuracy"
    """What `value` is."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything `fit` works with."""

    label: str
    learner: Learner
    settings: Training
    folder: Path
    seed: int
    reporter: Reporter
    machine: Machine
    evaluate: Callable[[Machine], Score]
    """Called with the network in evaluation mode; every process calls it."""


@dataclass(frozen=True)
class Result:
    """How a training ended."""

    steps: int
    best_step: int
    best: Score
    best_folder: Path
    """Where the best state lies."""
    stopped_early: bool


@dataclass
class LoopState:
    """Where a training stands; a checkpoint keeps all of it."""

    step: int = 0
    best_step: int = 0
    best: Score = field(default_factory=lambda: Score(-1.0, -1.0))
    without_better: int = 0


def fit(plan: Plan) -> Result:
    """Trains, or continues an interrupted training, to its end."""
    settings, machine = plan.settings, plan.machine
    torch.manual_seed(plan.seed + machine.rank)
    module = machine.prepare(plan.learner.module(), plan.learner.layers())
    optimizer = torch.optim.AdamW(
        trainable(module), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=False, foreach=False
    )
    feed = Feed(plan.learner.source, settings, plan.seed, rank=machine.rank, world=machine.world)
    schedule, state, watch = Schedule(settings, feed.total), LoopState(), LossMonitor()
    _restore(plan, module, optimizer, schedule, state)
    saved = time.monotonic()
    done = _given_up(settings, state)  # an interrupted training may have come to its end already
    with (
        Signals().heard() as signals,
        _journal(plan, state) as journal,
        plan.reporter.bar(plan.label, total=feed.total, unit="steps", done=state.step) as bar,
    ):
        for step in feed.steps(state.step) if not done else ():
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step.number)
            with memory_advice(f"{plan.label}, step {step.number + 1}", _smaller(settings)):
                entry = _learn(plan, module, optimizer, step)
            state.step = step.number + 1
            watch.update(entry["loss"], entry["gradient"], state.step)
            _tell(journal, bar, plan.learner.tasks, {"step": state.step, "epoch": state.step / feed.per_epoch, **entry})
            evaluated = _is_due(state.step, feed, settings)
            if evaluated:
                _look(plan, module, schedule, state, journal, bar)
            late = time.monotonic() - saved > settings.checkpoint_minutes * 60
            # Decided together: clocks differ, and a process that saves waits for the others.
            stop, save = (number > 0 for number in machine.total([signals.asked, evaluated or signals.asked or late]))
            if save:
                _save(plan, module, optimizer, schedule, state)
                saved = time.monotonic()
            if stop:
                raise Interrupted(f"{plan.label}: stopped at step {state.step}", hint="The same command continues.")
            if done := _given_up(settings, state):
                break
    return Result(
        state.step, state.best_step, state.best, _best(plan, state.best_step), stopped_early=state.step < feed.total
    )


def _smaller(settings: Training) -> str:
    if settings.micro_batch > 1:
        return f"Lower training.micro_batch (now {settings.micro_batch}); results stay the same."
    return "Set backbone.gradient_checkpointing: true, or a smaller backbone.image_size or backbone.max_source."


def _journal(plan: Plan, state: LoopState) -> AbstractContextManager[Journal | None]:
    if plan.machine.rank != 0:
        return nullcontext()
    return Journal(plan.folder / "metrics.jsonl", after=state.step, accelerator=plan.machine.accelerator)


def _learn(plan: Plan, module: nn.Module, optimizer: torch.optim.Optimizer, step: OptimizerStep) -> Json:
    """One optimizer step over the micro-batches of this process."""
    machine, learner, started = plan.machine, plan.learner, time.monotonic()
    batches = [learner.pack(portion) for portion in step.portions]
    working = len(batches) - step.idle
    counts = _count(machine, batches[:working], list(batches[0].counts))
    sums = dict.fromkeys(learner.curves, 0.0)
    total = 0.0
    for number, (portion, packed) in enumerate(zip(step.portions, batches, strict=True)):
        batch = packed.batch.to(machine.device)
        with machine.no_grad_sync(module, last=number == len(batches) - 1):
            losses = learner.learn(module, portion, batch, counts, machine.device)
            # Peers' gradients are averaged, and each of them is already a share of the whole step: undo the average.
            weight = machine.world if number < working else 0
            machine.accelerator.backward(losses.total * weight)
        if number < working:
            total += float(losses.total.detach())
            for name in sums:
                sums[name] += float(losses.curves[name].detach())
    limit = math.inf if plan.settings.clip is None else plan.settings.clip
    gradient = float(torch.nn.utils.clip_grad_norm_(trainable(module), limit))
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    total, *curves = machine.total([total, *sums.values()])
    return {
        "loss": total,
        **_means(dict(zip(sums, curves, strict=True)), learner.curves, counts),
        "learning_rate": optimizer.param_groups[0]["lr"],
        "gradient": gradient,
        "target_tokens": sum(counts[name] for name in learner.tasks),
        "examples": counts["examples"],
        "seconds": round(time.monotonic() - started, 4),
    }


def _count(machine: Machine, batches: Sequence[Packed], names: Sequence[str]) -> dict[str, int]:
    """The counts of the whole optimizer step, over all processes."""
    own = [sum(packed.counts[name] for packed in batches) for name in names]
    return dict(zip(names, map(int, machine.total(own)), strict=True))


def _means(sums: Mapping[str, float], curves: Mapping[str, str], counts: Mapping[str, int]) -> Json:
    """Losses per target token or example; what nothing was learned from is left out."""
    return {name: value / number for name, value in sums.items() if (number := counts[curves[name]])}


def _is_due(step: int, feed: Feed, settings: Training) -> bool:
    every = settings.evaluate_every * feed.per_epoch
    return step == feed.total or math.floor(step / every) > math.floor((step - 1) / every)


def _look(
    plan: Plan, module: nn.Module, schedule: Schedule, state: LoopState, journal: Journal | None, bar: Bar
) -> None:
    """Evaluates; a better state is kept. Nothing random in training is touched."""
    network = plan.learner.network
    smaller = memory_advice(f"{plan.label}, looking at dev", "Lower watch.batch_size; results stay the same.")
    with smaller, plan.machine.unsharded(module), torch.random.fork_rng(), torch.no_grad():
        network.eval()
        score = plan.evaluate(plan.machine)
        network.train()
    schedule.seen(score.value)
    if (score.value, score.tie) > (state.best.value, state.best.tie):
        state.best, state.best_step, state.without_better = score, state.step, 0
        _keep_best(plan, module, state.step)
    else:
        state.without_better += 1
    shown = {score.measure: score.value, "tie": score.tie, **score.details}
    if journal is not None:
        journal.write({"step": state.step, "evaluation": shown})
    bar.note(dev=f"{score.value:.3f}", best=f"{state.best.value:.3f}")


def _best(plan: Plan, step: int) -> Path:
    return plan.folder / "best" / f"step-{step:08d}"


def _keep_best(plan: Plan, module: nn.Module, step: int) -> None:
    """Writes the state beside the one that was best so far, to which the newest checkpoint still points."""
    weights = None
    if plan.machine.sharded:
        weights = whole_weights(module, frozen=plan.learner.saves_frozen)
    if plan.machine.rank != 0:
        return
    part, best = plan.folder / "best" / ".part", _best(plan, step)
    shutil.rmtree(part, ignore_errors=True)
    plan.learner.save(part, weights)
    sync_folder(part)
    shutil.rmtree(best, ignore_errors=True)
    part.rename(best)


def _given_up(settings: Training, state: LoopState) -> bool:
    return settings.patience is not None and state.without_better >= settings.patience


def _tell(journal: Journal | None, bar: Bar, tasks: Sequence[str], entry: Json) -> None:
    if journal is not None:
        journal.write(entry)
    bar.advance()
    shown = {name: f"{entry[name]:.3f}" for name in tasks if name in entry}
    bar.note(loss=f"{entry['loss']:.3f}", **shown)


def _save(
    plan: Plan, module: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule, state: LoopState
) -> None:
    kept = {
        "step": state.step,
        "best_step": state.best_step,
        "best": dataclasses.asdict(state.best),
        "without_better": state.without_better,
        "schedule": schedule.state(),
    }
    machine = plan.machine
    save_checkpoint(plan.folder / "checkpoints", module, optimizer, kept, rank=machine.rank, barrier=machine.wait)
    if machine.rank == 0:
        for old in set((plan.folder / "best").glob("step-*")) - {_best(plan, state.best_step)}:
            shutil.rmtree(old)


def _restore(
    plan: Plan, module: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule, state: LoopState
) -> None:
    kept = load_checkpoint(plan.folder / "checkpoints", module, optimizer, rank=plan.machine.rank)
    if kept is None:
        return
    schedule.restore(kept["schedule"])
    state.step, state.best_step, state.without_better = kept["step"], kept["best_step"], kept["without_better"]
    state.best = Score(**kept["best"])
