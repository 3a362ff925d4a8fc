"""Stage 2, `teacher`: every training example gets a chain of reasoning, or a reason why it has none.

    rationales.jsonl   one accepted chain per example, in the order of the dataset
    failures.jsonl     every example without one, with the reason of each reply
    answers.jsonl      what it answered without the label, right or wrong; of imported chains, what is known
    summary.json       yields, attempts, confusion, tokens and money
    pilot.json         how the random sample went that was asked first
    unmatched.jsonl    imported chains only: rows that belong to no example
    ledger.sqlite      every request and reply; survives a change of settings

The first four are written from committed replies alone, so however often a run was interrupted, they are the same.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, SerializeAsAny, model_validator

from mulcot.datasets.base import Dataset
from mulcot.errors import NothingUsable
from mulcot.plugin import Plugin
from mulcot.records import Json, Rationale
from mulcot.rundir import atomic, write_json
from mulcot.settings import volatile
from mulcot.stages.base import Job, Need, Stage, stages
from mulcot.tasks.base import Task
from mulcot.teacher.backends.imported import Imported
from mulcot.teacher.base import Teacher, teachers
from mulcot.teacher.labelling.budget import Budget, BudgetTracker, Prices, Spent, cost_of, shown_money
from mulcot.teacher.labelling.chain_files import RationaleWriter
from mulcot.teacher.labelling.counts import Tally
from mulcot.teacher.labelling.dialogues import DialogueOutcome, Dialogues, FindReply
from mulcot.teacher.labelling.estimate import Estimate, estimate, nothing_known, nothing_to_pay
from mulcot.teacher.labelling.examples import Examples
from mulcot.teacher.labelling.filters import Filters
from mulcot.teacher.labelling.imported_chains import Chains
from mulcot.teacher.labelling.labelling_run import LabellingRun
from mulcot.teacher.labelling.near_duplicates import NearDuplicates
from mulcot.teacher.labelling.own_answer import ANSWERS, own_prediction
from mulcot.teacher.labelling.pilot import Pilot, PilotResult
from mulcot.teacher.labelling.reply_judge import LABEL_GIVEN, LABEL_HIDDEN, Preset, ReplyJudge
from mulcot.teacher.labelling.retry import Retry
from mulcot.teacher.labelling.summary import summary_lines
from mulcot.teacher.labelling.yields import Yield
from mulcot.teacher.transport.http_settings import HttpTeacher
from mulcot.teacher.transport.images import EncodedPictures
from mulcot.teacher.transport.ledger import Ledger
from mulcot.teacher.transport.remembering_client import Client

LEDGER = "ledger.sqlite"


@stages.register("teacher")
class TeacherStage(Stage):
    """Two stages of asking: first without the label, then, for what was not found, with it."""

    about: ClassVar[str] = "Who writes the first chains, and what they may cost."
    keeps: ClassVar[tuple[str, ...]] = (f"{LEDGER}*",)
    bulky: ClassVar[tuple[str, ...]] = (LEDGER,)

    backend: SerializeAsAny[Annotated[Teacher, Plugin(teachers)]]
    """Who writes the chains."""
    preset: Preset = "checked"
    """`checked` keeps chains that are complete, end with the right label, give no hint away and pass the filters.
    `published` keeps stage 2 as it comes, as the published pipeline does, as long as every field is there."""
    splits: tuple[Literal["train", "dev", "test"], ...] = Field(default=("train",), min_length=1)
    """Whose examples get chains."""
    only_unexplained: bool = False
    """Ask only about examples that came without a rationale of a person."""
    retry: Retry = Retry()
    """How often, and how, an example is asked about again."""
    filters: Filters | None = None
    """Further checks of a chain; by default all but `near_duplicates` for `checked` and none for `published`."""
    min_accepted: float = volatile(0.2, ge=0, le=1)
    """The share of labelled training examples that must have an accepted chain, in the pilot and in the end; with less
    the stage fails, for imported chains too; with `only_unexplained` it warns. 0 goes on with any."""
    pilot: Pilot | None = volatile(Pilot())
    """A random sample that goes first; null asks about everything at once."""
    budget: Budget = volatile(Budget())
    """Where the stage stops; it continues when this is raised."""
    prices: Prices | None = volatile(None)
    """What the provider charges; without it money is unknown."""
    cache: Path | None = volatile(None)
    """A file of replies that several runs share, such as `~/.cache/mulcot/replies.sqlite`."""

    @model_validator(mode="after")
    def _check_budget(self) -> TeacherStage:
        if self.budget.money is not None and self.prices is None:
            raise ValueError("budget.money needs teacher.prices: without them money is unknown")
        return self

    def needs(self) -> tuple[Need, ...]:
        """The examples."""
        return (Need("dataset"),)

    def sources(self) -> tuple[Path, ...]:
        """The file of imported chains."""
        return (self.backend.path,) if isinstance(self.backend, Imported) else ()

    def problems(self, task: Task, dataset: Dataset) -> list[str]:
        """A missing file, or a key that is not in the environment."""
        problems = [f"{path} does not exist" for path in self.sources() if not path.is_file()]
        variable = getattr(self.backend, "api_key_env", None)
        if variable and not os.environ.get(variable, "").strip():
            problems.append(f"the environment variable {variable} (backend.api_key_env) is not set")
        return problems

    def run(self, job: Job) -> Json:
        """Asks what is not yet known, then writes the files."""
        examples = self._examples(job)
        if not any(example.label is not None for example in examples()):
            without = " without a rationale" if self.only_unexplained else ""
            raise NothingUsable(
                f"there is no labelled example{without} in {', '.join(self.splits)}", hint="See teacher.splits."
            )
        if isinstance(self.backend, Imported):
            return self._import(self.backend, job, examples)
        with ExitStack() as stack:
            ledger = stack.enter_context(Ledger(job.folder / LEDGER))
            cache = None if self.cache is None else stack.enter_context(Ledger(self.cache.expanduser()))
            pictures = stack.enter_context(EncodedPictures(job.gallery(), self.backend.image_settings()))
            dialogues = self._dialogues(job.task, pictures)
            known = Client(self.backend, ledger).known
            budget_tracker = BudgetTracker(self.budget, self.prices, Spent.before(ledger.totals()))
            labelling_run = LabellingRun(dialogues, examples, budget_tracker, job.reporter, min_accepted=self._least)
            labelling_run.replay_ledger(known)
            if labelling_run.open:
                asyncio.run(labelling_run.run(self.backend, ledger, cache, self.pilot, job.seed, _Gate(job)))
            writer = self._writer("teacher", dialogues.judge, labelling_run.unanswered)
            tally = self._write(job, (dialogues.replay(example, known) for example in examples()), writer)
            return self._summarise(job, tally, self._spent(ledger))

    def estimate(self, job: Job) -> Estimate:
        """What is still to be paid, after the dataset stage and before, during or after this one."""
        examples = self._examples(job)
        if isinstance(self.backend, Imported):
            return nothing_to_pay(sum(1 for _ in examples()))
        with ExitStack() as stack:
            pictures = stack.enter_context(EncodedPictures(job.gallery(), self.backend.image_settings()))
            known: FindReply = nothing_known
            if (job.folder / LEDGER).exists():
                ledger = stack.enter_context(Ledger(job.folder / LEDGER, read_only=True))
                known = Client(self.backend, ledger).known
            size = self.backend.image_settings().size
            return estimate(self._dialogues(job.task, pictures), examples(), known, self.prices, size)

    def _examples(self, job: Job) -> Examples:
        return Examples(job.before["dataset"] / "examples.jsonl", self.splits, self.only_unexplained)

    def _dialogues(self, task: Task, pictures: EncodedPictures) -> Dialogues:
        structured = isinstance(self.backend, HttpTeacher) and self.backend.structured != "off"
        start = self.backend.start_sampling()
        return Dialogues(self._judge(task), self.retry, start, pictures, structured=structured)

    def _judge(self, task: Task) -> ReplyJudge:
        return ReplyJudge(task, self.preset, self.filters)

    def _writer(self, source: str, judge: ReplyJudge, unanswered: dict[str, str] | None = None) -> RationaleWriter:
        threshold = judge.filters.near_duplicates
        duplicates = None if threshold is None else NearDuplicates(threshold)
        return RationaleWriter(source, self.backend.simulated, duplicates, unanswered)

    def _import(self, backend: Imported, job: Job, examples: Examples) -> Json:
        judge = self._judge(job.task)
        with Chains(backend) as chains:
            outcomes = (chains.outcome(example, judge) for example in examples())
            tally = self._write(job, outcomes, self._writer("imported", judge))
            unmatched = 0
            with atomic(job.folder / "unmatched.jsonl") as file:
                for rejected in chains.unused():
                    file.write(rejected.to_line().encode("utf-8", "backslashreplace"))
                    unmatched += 1
            rows = {"chains": chains.count + len(chains.rejected), "unmatched": unmatched}
            if not chains.matched:
                hint = "A row needs the example's id, or its text, aspect and picture: see `backend.columns`, "
                hint += f"`backend.match`, `teacher.splits`, and {job.folder / 'unmatched.jsonl'}."
                problem = f"none of {rows['chains']:,} rows belongs to an example of {', '.join(self.splits)}"
                raise NothingUsable(f"{backend.path}: {problem}", hint=hint)
        return self._summarise(job, tally, {}) | rows

    def _write(self, job: Job, outcomes: Iterable[DialogueOutcome], writer: RationaleWriter) -> Tally:
        tally = Tally()
        with (
            atomic(job.folder / "rationales.jsonl") as rationales,
            atomic(job.folder / "failures.jsonl") as failures,
            atomic(job.folder / ANSWERS) as answers,
            job.reporter.bar("teacher: writing", unit="examples") as bar,
        ):
            for outcome, record in writer.finish(outcomes):
                file = rationales if isinstance(record, Rationale) else failures
                file.write(record.to_line().encode("utf-8", "backslashreplace"))
                own = own_prediction(job.task, outcome)
                if own is not None:
                    answers.write(own.to_line().encode("utf-8", "backslashreplace"))
                tally.add(outcome, record)
                bar.advance()
        return tally

    def _spent(self, ledger: Ledger) -> Json:
        """Everything ever asked in this folder, under whatever settings."""
        totals = ledger.totals()
        spent = Spent.before(totals)
        money = cost_of(spent, self.prices)
        return {
            "requests": totals.replies,
            "from_cache": totals.from_cache,
            "failed_tries": ledger.failures(),
            "prompt": totals.prompt_tokens,
            "completion": totals.completion_tokens,
            "cached": totals.cached_tokens,
            "unknown_usage": totals.unknown_usage,
            "money": money,
            "currency": None if self.prices is None else self.prices.currency,
            "shown": shown_money(money, self.prices, at_least=bool(totals.unknown_usage)),
        }

    def _summarise(self, job: Job, tally: Tally, spent: Json) -> Json:
        limits = {LABEL_HIDDEN: self.retry.stage1_attempts, LABEL_GIVEN: self.retry.stage2_attempts}
        backend = self.backend
        head: Json = {
            "teacher": backend.title,
            "backend": backend.name,
            "simulated": backend.simulated,
            "preset": self.preset,
        }
        summary = head | tally.to_json(limits) | {"spent": spent}
        write_json(job.folder / "summary.json", summary)
        for line in summary_lines(summary):
            job.reporter.say(line)
        self._judge_yield(job, tally.learned_from())
        counts = {"examples": tally.examples, **summary["accepted"], "failed": summary["failed"]}
        return counts | ({"replies": spent["requests"], "money": spent["shown"]} if spent else {})

    def _judge_yield(self, job: Job, found: Yield) -> None:
        """The files are written by now, to be read; without a `stage.json` they do not count as finished."""
        which = "training examples" if "train" in self.splits else "examples"
        which += " without a rationale" if self.only_unexplained else ""
        if not found.enough(self._least):
            raise found.error(which, self._least)
        if not found.accepted or not found.enough(self.min_accepted):
            rest = "what people explained" if self.only_unexplained else "labels alone"
            job.warn(f"{found.sentence(which)}. Models learn {rest}.")

    @property
    def _least(self) -> float:
        """The share that ends the run. Where people have explained the others, it says nothing about all examples."""
        return 0.0 if self.only_unexplained else self.min_accepted


class _Gate:
    """Shows how the pilot went, and stops there if it failed."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, result: PilotResult) -> None:
        write_json(self.job.folder / "pilot.json", result.to_json())
        if not result.passed:
            raise result.error()
        if result.chains is not None and result.confusion.accuracy is not None:
            found = f"{result.confusion.right} of {result.confusion.total} labels found"
            found += f" ({result.confusion.accuracy:.0%}), {result.chains.sentence('examples')}"
            self.job.reporter.say(f"teacher: pilot passed, {found}")
