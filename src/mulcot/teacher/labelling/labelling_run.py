"""Asking about a whole dataset: what is settled is skipped, the pilot goes first, the rest follows side by side.

Of each example one byte is kept: whether it is settled. Examples are read when a worker is free, and their replies
lie in the ledger; so memory does not grow with the dataset.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mulcot.errors import Interrupted, MediaError, TeacherError
from mulcot.progress import Bar, Reporter
from mulcot.records import Example
from mulcot.teacher.base import CallError, Teacher
from mulcot.teacher.labelling.budget import BudgetedSession, BudgetTracker, BudgetUsedUp
from mulcot.teacher.labelling.dialogues import DialogueOutcome, Dialogues, FindReply
from mulcot.teacher.labelling.pilot import Pilot, PilotResult
from mulcot.teacher.labelling.reply_judge import LABEL_GIVEN, LABEL_HIDDEN
from mulcot.teacher.labelling.sample import draw
from mulcot.teacher.transport.concurrency import Stop, run_all
from mulcot.teacher.transport.ledger import Ledger
from mulcot.teacher.transport.remembering_client import Client, open_client

Job = tuple[int, Example]
Gate = Callable[[PilotResult], None]


@dataclass
class ProgressCounts:
    """What the progress line shows."""

    stage1: int = 0
    stage2: int = 0
    retries: int = 0
    failed: int = 0

    def add(self, outcome: DialogueOutcome) -> None:
        """A settled example."""
        self.retries += sum(trial.ask.attempt > 1 for trial in outcome.trials)
        if outcome.accepted is None:
            self.failed += 1
        elif outcome.accepted.ask.stage == LABEL_HIDDEN:
            self.stage1 += 1
        else:
            self.stage2 += 1


@dataclass
class LabellingRun:
    """All examples of a run, and how far they are."""

    dialogues: Dialogues
    examples: Callable[[], Iterable[Example]]
    """Begins the same stream again."""
    budget_tracker: BudgetTracker
    reporter: Reporter
    unanswered: dict[str, str] = field(default_factory=dict)
    """Examples for which there was no reply, and why."""
    min_accepted: float = 0.0
    """The share of the pilot that must have a usable chain."""
    counts: ProgressCounts = field(default_factory=ProgressCounts)
    settled: bytearray = field(default_factory=bytearray)
    _again: set[str] = field(default_factory=set)
    _cause: TeacherError | None = None

    def replay_ledger(self, known: FindReply) -> None:
        """Walks through what is committed."""
        with self.reporter.bar("teacher: reading the ledger", unit="examples") as bar:
            for example in self.examples():
                outcome = self.dialogues.replay(example, known)
                self.settled.append(outcome.open is None)
                if outcome.open is None:
                    self.counts.add(outcome)
                bar.advance()

    @property
    def open(self) -> int:
        """How many examples are not settled."""
        return len(self.settled) - sum(self.settled)

    async def run(
        self, teacher: Teacher, ledger: Ledger, cache: Ledger | None, pilot: Pilot | None, seed: int, gate: Gate
    ) -> None:
        """Asks about everything that is open. `gate` gets the pilot's results and raises to stop here."""
        stop = Stop()
        async with self._asking(teacher, ledger, cache, stop) as client:
            if pilot is not None:
                drawn = draw((example.id for example in self.examples()), pilot.size, seed)
                result = PilotResult.of(pilot, await self._sample(client, stop, drawn, LABEL_HIDDEN), self.min_accepted)
                gate(result)
                gate(result.followed(await self._sample(client, stop, drawn, LABEL_GIVEN)))
            total, done = len(self.settled), sum(self.settled)
            with self.reporter.bar("teacher", total=total, unit="examples", done=done) as bar:
                await self._round(client, bar, stop, self._jobs(lambda _: True))
                if self._again:
                    chosen, self._again = self._again, set()
                    self.reporter.say(f"teacher: {len(chosen):,} examples got no reply and are asked once more")
                    await self._round(client, bar, stop, self._jobs(lambda example: example.id in chosen))

    @asynccontextmanager
    async def _asking(
        self, teacher: Teacher, ledger: Ledger, cache: Ledger | None, stop: Stop
    ) -> AsyncIterator[Client]:
        """An open client; however it ends, the cause is told together with what is safe."""
        stop.listen(self.budget_tracker.close)
        try:
            async with open_client(teacher, ledger, cache=cache, stop=stop) as client:
                assert client.session is not None
                client.session = BudgetedSession(client.session, self.budget_tracker)
                yield client
        except Interrupted as stopped:
            safe = f"{sum(self.settled):,} of {len(self.settled):,} examples are settled and every paid reply is kept"
            if self._cause is None:
                raise Interrupted(stopped.message, hint=f"{safe}; the same command continues.") from None
            hint = f"{self._cause.hint} {safe}; the same command continues.".lstrip()
            raise TeacherError(self._cause.message, hint=hint) from self._cause

    async def _sample(
        self, client: Client, stop: Stop, chosen: frozenset[str], last_stage: int
    ) -> list[DialogueOutcome]:
        """The outcomes of these examples, none of them asked beyond a stage."""
        outcomes: dict[int, DialogueOutcome] = {}
        label = "teacher: pilot" if last_stage == LABEL_HIDDEN else "teacher: pilot, to the end"
        with self.reporter.bar(label, total=len(chosen), unit="examples") as bar:

            async def work(job: Job) -> None:
                outcome = await self._settle(client, stop, job[1], last_stage=last_stage)
                outcomes[job[0]] = outcome or DialogueOutcome(job[1])
                self._show(bar, client)
                bar.advance()

            jobs = ((number, example) for number, example in enumerate(self.examples()) if example.id in chosen)
            await run_all(jobs, work, width=client.teacher.width(), stop=stop)
        self._again.clear()
        return [outcomes[number] for number in sorted(outcomes)]

    def _jobs(self, wanted: Callable[[Example], bool]) -> Iterator[Job]:
        for number, example in enumerate(self.examples()):
            if not self.settled[number] and wanted(example):
                yield number, example

    async def _round(self, client: Client, bar: Bar, stop: Stop, jobs: Iterator[Job]) -> None:
        async def work(job: Job) -> None:
            number, example = job
            outcome = await self._settle(client, stop, example)
            if outcome is not None:
                self.settled[number] = True
                self.counts.add(outcome)
                bar.advance()
            self._show(bar, client)

        await run_all(jobs, work, width=client.teacher.width(), stop=stop)

    async def _settle(
        self, client: Client, stop: Stop, example: Example, last_stage: int = LABEL_GIVEN
    ) -> DialogueOutcome | None:
        """The outcome, or None where this example got no reply. What concerns all examples stops the run."""
        try:
            outcome = await self.dialogues.settle(example, client.ask, last_stage=last_stage)
        except MediaError as error:
            self.unanswered[example.id] = f"picture: {error.reason}"
        except (CallError, BudgetUsedUp) as error:
            if isinstance(error, BudgetUsedUp) or error.fatal:
                self._cause = self._cause or error
                stop.request()
                raise Interrupted("stopped") from error
            self.unanswered[example.id] = str(error.kind)
            if error.retryable:
                self._again.add(example.id)
        else:
            self.unanswered.pop(example.id, None)
            return outcome
        return None

    def _show(self, bar: Bar, client: Client) -> None:
        counts, spent, budget_tracker = self.counts, self.budget_tracker.spent, self.budget_tracker
        notes: dict[str, object] = {"stage_1": counts.stage1, "stage_2": counts.stage2, "retries": counts.retries}
        notes["failed"] = counts.failed + len(self.unanswered)
        bar.note(**notes, in_flight=client.load().in_flight, tokens=spent.tokens, money=budget_tracker.shown)
