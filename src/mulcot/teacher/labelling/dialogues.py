"""The dialogue about one example: the question that stands open, the answer to it, the next question.

The same path is walked in two ways: `replay` answers from what is committed, `settle` asks. So an interrupted run
continues exactly where it stood, and the final files are written from the committed replies alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mulcot.records import Example, Json
from mulcot.tasks.base import Purpose
from mulcot.teacher.base import Reply, Request, Sampling
from mulcot.teacher.labelling.filters import PREDICTION
from mulcot.teacher.labelling.reply_judge import LABEL_GIVEN, ReplyJudge, Verdict
from mulcot.teacher.labelling.retry import Accept, Ask, GiveUp, Move, Retry, Trial, next_move
from mulcot.teacher.transport.images import EncodedPictures

FindReply = Callable[[Request], Reply | None]
AskTeacher = Callable[[Request], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class DialogueOutcome:
    """How far an example has come."""

    example: Example
    trials: tuple[Trial, ...] = ()
    accepted: Trial | None = None
    reason: Verdict | None = None
    """Why there is no chain; None too while a question is open."""
    open: Ask | None = None
    """The question without an answer."""


class Dialogues:
    """Everything that decides what is asked about an example."""

    def __init__(
        self, judge: ReplyJudge, retry: Retry, start: Sampling, pictures: EncodedPictures, *, structured: bool = False
    ) -> None:
        self.judge = judge
        self.task = judge.task
        self.retry = retry
        self.start = start
        self.pictures = pictures
        self.structured = structured

    def replay(self, example: Example, known: FindReply, *, last_stage: int = LABEL_GIVEN) -> DialogueOutcome:
        """As far as the committed replies lead."""
        dialogue = Dialogue(self, example, last_stage)
        while (request := dialogue.question()) is not None and (reply := known(request)) is not None:
            dialogue.answer(reply)
        return dialogue.outcome

    async def settle(self, example: Example, ask: AskTeacher, *, last_stage: int = LABEL_GIVEN) -> DialogueOutcome:
        """To the end, asking for what is not known; whatever `ask` raises ends it."""
        dialogue = Dialogue(self, example, last_stage)
        while (request := dialogue.question()) is not None:
            dialogue.answer(await ask(request))
        return dialogue.outcome

    def request(self, example: Example, ask: Ask) -> Request:
        """The question: the same beginning for both stages and all attempts."""
        told = ask.stage == LABEL_GIVEN
        purpose = Purpose.HINT if told else Purpose.TEACH
        prompt = self.task.prompt(example, purpose, example.label if told else None)
        return Request(
            system=prompt.system,
            user=f"{prompt.user}\n\n{ask.note}" if ask.note else prompt.user,
            pictures=tuple(self.pictures.picture(image) for image in example.images),
            sampling=ask.sampling,
            schema=self._schema(example) if self.structured else None,
            attempt=ask.attempt,
            example_id=example.id,
            purpose=str(purpose),
        )

    def _schema(self, example: Example) -> Json:
        """The chain as a JSON Schema; the prediction is one of the labels."""
        properties: Json = {name: {"type": "string"} for name in self.task.fields}
        properties[PREDICTION] = {"type": "string", "enum": list(self.task.labels(example))}
        return {
            "type": "object",
            "properties": properties,
            "required": list(self.task.fields),
            "additionalProperties": False,
        }


class Dialogue:
    """One example's questions and answers, up to a stage."""

    def __init__(self, dialogues: Dialogues, example: Example, last_stage: int) -> None:
        self._dialogues = dialogues
        self._example = example
        self._last_stage = last_stage
        self._trials: list[Trial] = []
        self._move: Move = GiveUp(Verdict.NO_LABEL) if example.label is None else self._next()

    def question(self) -> Request | None:
        """The open question; None when there is none."""
        return self._dialogues.request(self._example, self._move) if isinstance(self._move, Ask) else None

    def answer(self, reply: Reply) -> None:
        """Takes the reply to the open question."""
        assert isinstance(self._move, Ask)
        judgement = self._dialogues.judge(reply, self._example, self._move.stage)
        self._trials.append(Trial(self._move, reply, judgement))
        self._move = self._next()

    @property
    def outcome(self) -> DialogueOutcome:
        """How far it has come."""
        move, trials = self._move, tuple(self._trials)
        return DialogueOutcome(
            self._example,
            trials,
            accepted=trials[-1] if isinstance(move, Accept) else None,
            reason=move.reason if isinstance(move, GiveUp) else None,
            open=move if isinstance(move, Ask) else None,
        )

    def _next(self) -> Move:
        dialogues = self._dialogues
        move = next_move(self._trials, dialogues.start, dialogues.retry, dialogues.task.labels(self._example))
        if isinstance(move, Ask) and move.stage > self._last_stage:
            return GiveUp(self._trials[-1].verdict)
        return move
