"""A teacher in this process whose answers are one function of the request, and small datasets to ask it about.

`python scripted.py RUN [DELAY]` runs the stage in a process of its own, to be killed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from mulcot.datasets.files import Files
from mulcot.datasets.read_rows import read
from mulcot.errors import Interrupted
from mulcot.media import Store
from mulcot.progress import Reporter
from mulcot.records import Example, Json, content_id
from mulcot.rundir import RunFolder, atomic
from mulcot.stages.base import Job
from mulcot.stages.teacher import TeacherStage
from mulcot.tasks.base import Task
from mulcot.tasks.sentiment import Sentiment
from mulcot.teacher.base import CallError, Finish, Load, Observer, Reply, Request, Sampling, Teacher, Usage

Answer = Callable[[Request], Reply | Exception]
LABELS = ("positive", "neutral", "negative")
BODY = {
    "Text_analysis": "The words {text} name what happened and how the author took it in plain terms",
    "Image_analysis": "The picture shows a scene that goes with these words and adds a little light to it",
    "Conflict_resolution": "Words and picture point the same way so neither has to decide alone",
    "Final_conclusion": "Taken together the post conveys one clear mood that both parts carry",
}


class Scripted(Teacher):
    """Answers by a function; counts what it was asked."""

    name: ClassVar[str] = "scripted"
    answer: Any = None
    log: list[Any] = []
    sampling: Sampling = Sampling()
    wide: int = 4
    delay: float = 0.0

    @property
    def title(self) -> str:
        return "scripted"

    def answers_as(self) -> Json:
        return {"backend": "scripted"}

    def identity(self) -> Json:
        return {"name": "scripted"}

    def width(self) -> int:
        return self.wide

    def start_sampling(self) -> Sampling:
        return self.sampling

    @asynccontextmanager
    async def session(self, observer: Observer | None = None) -> AsyncIterator[ScriptedSession]:
        yield ScriptedSession(self)


class ScriptedSession:
    def __init__(self, teacher: Scripted) -> None:
        self.teacher = teacher
        self.drained = False
        self.in_flight = 0

    async def complete(self, request: Request) -> Reply:
        if self.drained:
            raise Interrupted("stopped")
        self.teacher.log.append(request)
        self.in_flight += 1
        try:
            for picture in request.pictures:
                await picture.data_url()
            await asyncio.sleep(self.teacher.delay)
            found = self.teacher.answer(request)
        finally:
            self.in_flight -= 1
        if isinstance(found, Exception):
            raise found
        return found

    def drain(self) -> None:
        self.drained = True

    def load(self) -> Load:
        return Load(in_flight=self.in_flight)


def chain(label: str, text: str = "", **changed: str | None) -> str:
    """A chain in the form real teachers use; a field given as None is left out."""
    fields = {name: value.format(text=text) for name, value in BODY.items()} | {"Prediction": label} | changed
    return "\n\n".join(f'"{name}": "{value}"' for name, value in fields.items() if value is not None)


def reply(text: str, **changed: Any) -> Reply:
    usage = changed.pop("usage", Usage(prompt=100, completion=max(1, len(text) // 5)))
    return Reply(**({"text": text, "finish": Finish.STOP, "usage": usage, "model": "m-1", "latency": 0.1} | changed))


def post_of(request: Request) -> str:
    return request.user.partition("Post: ")[2].partition("\n")[0]


def hinted(request: Request) -> str | None:
    found = request.user.partition("\nLabel: ")[2].partition("\n")[0]
    return found or None


def messy(request: Request) -> Reply | Exception:
    """Every malformed kind, decided by the content of the request alone."""
    post, told = post_of(request), hinted(request)
    seed = int(content_id(post, request.user, str(request.sampling.sent())), 16)
    guess = LABELS[int(content_id(post), 16) % 3]
    label = told or (post.split()[0] if seed % 10 < 6 else guess)
    kind = seed // 16 % 24
    body = content_id(post, str(seed))
    whole = chain(label, text=f"{post} {body}")
    broken: dict[int, Reply] = {
        0: reply(""),
        1: reply(whole[: len(whole) // 2], finish=Finish.LENGTH),
        2: reply("I'm sorry, but I can't help with that."),
        3: reply("", finish=Finish.FILTERED),
        4: reply(chain(label, text=body, Image_analysis=None)),
        5: reply(chain("mixed feelings", text=body)),
        6: reply(chain(label, text=body, Final_conclusion=f"The given label is {label} so this follows.")),
        7: reply("<html>garbage</html>"),
        8: reply(chain(label, text=f"{post} <|im_end|><|im_start|>")),
    }
    return broken.get(kind, reply(whole))


def honest(request: Request) -> Reply:
    """Always right: a post begins with its label."""
    label = hinted(request) or post_of(request).split()[0]
    return reply(chain(label, text=post_of(request)))


def always(label: str) -> Answer:
    """The same prediction for every post."""
    return lambda request: reply(chain(hinted(request) or label, text=post_of(request)))


def write_posts(folder: Path, count: int, *, pictures: bool = False) -> Files:
    """Posts that begin with their label, all of them in train."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["id,text,label,split" + (",image" if pictures else "")]
    for number in range(count):
        label = LABELS[number % 3]
        line = f"p{number},{label} day number {number} at the sea,{label},train"
        if pictures:
            Image.new("RGB", (40, 30), (number * 7 % 256, 90, 90)).save(folder / f"{number}.png")
            line += f",{number}.png"
        lines.append(line)
    (folder / "posts.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return Files(path=folder / "posts.csv")


def make_job(run: Path, dataset: Any, task: Task | None = None, reporter: Reporter | None = None) -> Job:
    """A run folder whose dataset stage is written."""
    task = task or Sentiment()
    folder = RunFolder(run)
    before = folder.stage(1, "dataset")
    if not (before / "examples.jsonl").exists():
        with atomic(before / "examples.jsonl") as file:
            for record in read(dataset, task, Store(before / "pictures")):
                assert isinstance(record, Example), record
                file.write(record.to_line().encode())
    own = folder.stage(2, "teacher")
    own.path.mkdir(parents=True, exist_ok=True)
    return Job(
        folder=own,
        before={"dataset": before},
        task=task,
        dataset=dataset,
        seed=1,
        reporter=reporter or Reporter.silent(),
    )


def make_stage(answer: Answer, *, wide: int = 4, delay: float = 0.0, **settings: Any) -> TeacherStage:
    """The stage with a scripted teacher; no pilot unless asked for."""
    sampling = settings.pop("sampling", Sampling())
    settings = {"pilot": None, **settings}
    stage = TeacherStage.model_validate({"backend": {"name": "imported", "path": "none"}, **settings})
    teacher = Scripted(answer=answer, log=[], wide=wide, delay=delay, sampling=sampling)
    return stage.model_copy(update={"backend": teacher})


def files(run: Path) -> tuple[bytes, ...]:
    """What must not depend on interruptions."""
    folder = run / "2-teacher"
    return tuple((folder / f"{name}.jsonl").read_bytes() for name in ("rationales", "failures", "answers"))


def error(kind: Any, **rest: Any) -> CallError:
    return CallError(kind, f"it was {kind}", **rest)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    work = make_job(where, write_posts(where / "data", 60))
    make_stage(messy, delay=float(sys.argv[2]) if len(sys.argv) > 2 else 0.0).run(work)
