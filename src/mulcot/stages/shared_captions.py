"""Captions by a teacher: every distinct picture is described once; a part of the stage `features`.

captions.jsonl    one line per picture, in the order of the examples
captions.sqlite   every request and reply; survives a change of settings
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mulcot.errors import Interrupted, MediaError, NothingUsable, TeacherError
from mulcot.progress import Bar
from mulcot.records import Example, ImageRef, Json, Record, read_lines
from mulcot.rundir import atomic
from mulcot.stages.base import Job
from mulcot.teacher.base import CallError, Finish, Reply, Request, Teacher
from mulcot.teacher.labelling.budget import Budget, BudgetedSession, BudgetTracker, BudgetUsedUp, Prices, Spent, cost_of
from mulcot.teacher.transport.concurrency import Stop, run_all
from mulcot.teacher.transport.images import EncodedPictures
from mulcot.teacher.transport.ledger import Ledger
from mulcot.teacher.transport.remembering_client import Client, open_client

CAPTIONS = "captions.jsonl"
LEDGER = "captions.sqlite"
SYSTEM = "You describe pictures for a reader who has to answer questions about them without seeing them."
USER = (
    "Describe this picture in one paragraph: what it shows, how many of each thing, where they are, "
    "and every word that is written in it. Say only what can be seen."
)

NO_CAPTIONS = "captions: true, but no example has a caption."
WRITE_CAPTIONS = "Give the dataset's captions, or a features.captioner that writes them."


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption(Record):
    """What a teacher said about one picture."""

    picture: str
    """The SHA-256 of its file."""
    text: str
    """Empty where there is none."""
    problem: str = ""
    """Why there is none."""


def describe_pictures(
    job: Job,
    teacher: Teacher,
    pictures: Mapping[str, ImageRef],
    budget: Budget | None = None,
    prices: Prices | None = None,
) -> Json:
    """Asks about every picture that no reply is known for, then writes what is known of all."""
    with (
        Ledger(job.folder / LEDGER) as ledger,
        EncodedPictures(job.gallery(), teacher.image_settings()) as prepared,
    ):
        requests = {
            key: Request(
                system=SYSTEM,
                user=USER,
                pictures=(prepared.picture(ref),),
                sampling=teacher.start_sampling(),
                example_id=key,
                purpose="caption",
            )
            for key, ref in pictures.items()
        }
        known = Client(teacher, ledger).known
        todo = {key: request for key, request in requests.items() if known(request) is None}
        failed: dict[str, str] = {}
        if todo:
            with job.reporter.bar(
                "captions", total=len(pictures), unit="pictures", done=len(pictures) - len(todo)
            ) as bar:
                budget_tracker = BudgetTracker(
                    budget or Budget(), prices, Spent.before(ledger.totals()), section="features"
                )
                asyncio.run(_ask(teacher, ledger, todo, failed, budget_tracker, bar))
        found = [_caption(key, known(request), failed.get(key, "")) for key, request in requests.items()]
        totals = ledger.totals()
    money = cost_of(Spent.before(totals), prices)
    with atomic(job.folder / CAPTIONS) as file:
        for caption in found:
            file.write(caption.to_line().encode("utf-8", "backslashreplace"))
    _judge_captions(job, found)
    return {
        "captions": sum(bool(caption.text) for caption in found),
        "without_caption": sum(not caption.text for caption in found),
        "caption_tokens": totals.prompt_tokens + totals.completion_tokens,
        **({} if money is None else {"caption_cost": round(money, 6)}),
    }


def _judge_captions(job: Job, found: Sequence[Caption]) -> None:
    """None at all is no result; more pictures without than with one is a weak one."""
    reasons = Counter(caption.problem for caption in found if not caption.text)
    without = reasons.total()
    text = f"{without:,} of {len(found):,} pictures have no caption: " + ", ".join(
        f"{reason} {count:,}" for reason, count in reasons.most_common()
    )
    if found and without == len(found):
        hint = "Check features.captioner. Replies are kept in captions.sqlite; the same command asks what failed again."
        raise NothingUsable(text, hint=hint)
    if 2 * without > len(found):
        job.warn(text)


def with_captions(folder: Path, examples: Sequence[Example]) -> list[Example]:
    """The examples with the captions of a stage `features`, where they have pictures and no caption of their own."""
    path = folder / CAPTIONS
    if not path.exists():
        return list(examples)
    said = {caption.picture: caption.text for caption in read_lines(path, Caption) if caption.text}

    def captioned(example: Example) -> Example:
        texts = [said[key] for key in dict.fromkeys(image.sha256 for image in example.images) if key in said]
        return example if example.caption or not texts else dataclasses.replace(example, caption=" ".join(texts))

    return [captioned(example) for example in examples]


def need_captions(examples: Sequence[Example]) -> None:
    """Refuses to learn without captions where they were asked for."""
    if not any(example.caption for example in examples):
        raise NothingUsable(NO_CAPTIONS.rstrip("."), hint=WRITE_CAPTIONS)


async def _ask(
    teacher: Teacher,
    ledger: Ledger,
    requests: Mapping[str, Request],
    failed: dict[str, str],
    budget_tracker: BudgetTracker,
    bar: Bar,
) -> None:
    """Replies go to the ledger, reasons for having none to `failed`. What every picture would meet ends it."""
    stop, cause = Stop(), list[TeacherError]()
    stop.listen(budget_tracker.close)

    async def work(key: str) -> None:
        try:
            await client.ask(requests[key])
        except MediaError as error:
            failed[key] = f"picture: {error.reason}"
        except (CallError, BudgetUsedUp) as error:
            if isinstance(error, BudgetUsedUp) or error.fatal:
                cause.append(error)
                stop.request()
                raise Interrupted("stopped") from error
            failed[key] = str(error.kind)
        bar.advance()
        bar.note(tokens=budget_tracker.spent.tokens, money=budget_tracker.shown)

    try:
        async with open_client(teacher, ledger, stop=stop) as client:
            assert client.session is not None
            client.session = BudgetedSession(client.session, budget_tracker)
            await run_all(iter(requests), work, width=teacher.width(), stop=stop)
    except Interrupted:
        if not cause:
            raise
        hint = f"{cause[0].hint} Every reply is kept; the same command continues.".lstrip()
        raise TeacherError(cause[0].message, hint=hint) from cause[0]


def _caption(key: str, reply: Reply | None, problem: str) -> Caption:
    if reply is None:
        return Caption(picture=key, text="", problem=problem)
    if reply.finish in (Finish.REFUSED, Finish.FILTERED):
        return Caption(picture=key, text="", problem=str(reply.finish))
    text = " ".join(reply.text.split())
    return Caption(picture=key, text=text, problem="" if text else "empty")
