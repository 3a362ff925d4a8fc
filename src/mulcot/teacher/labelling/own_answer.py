"""What the teacher answers without being told the label: the first reply that names one, right or wrong.

Later replies do not count. Some of them were asked for because the first answer was wrong or its chain was held back,
and choosing among answers by the label would make the teacher look better than it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from mulcot.records import Prediction
from mulcot.tasks.base import Task
from mulcot.teacher.base import Finish
from mulcot.teacher.labelling.dialogues import DialogueOutcome
from mulcot.teacher.labelling.reply_judge import LABEL_HIDDEN, Verdict
from mulcot.teacher.labelling.retry import Trial

ANSWERS = "answers.jsonl"
"""One line per example whose answer is known, in the order of the dataset."""


def own_answer(trials: Sequence[Trial]) -> Trial | None:
    """The reply that counts; where none names a label, the last one. None where there is no reply of stage 1."""
    untold = [trial for trial in trials if trial.ask.stage == LABEL_HIDDEN]
    named = next((trial for trial in untold if trial.judgement.prediction is not None), None)
    return named or (untold[-1] if untold else None)


def is_unknown(outcome: DialogueOutcome) -> bool:
    """Chains that somebody else collected, without the answer to the question that hides the label."""
    return outcome.reason is Verdict.NO_CHAIN or (bool(outcome.trials) and own_answer(outcome.trials) is None)


def own_prediction(task: Task, outcome: DialogueOutcome) -> Prediction | None:
    """The answer as one of the evaluated gives it; None where it is unknown or nothing was asked."""
    if is_unknown(outcome) or outcome.reason is Verdict.NO_LABEL:
        return None
    own = own_answer(outcome.trials)
    if own is None:
        return Prediction(id=outcome.example.id, problem=str(Verdict.UNANSWERED))
    said = own.judgement
    return Prediction(
        id=outcome.example.id,
        label=said.prediction,
        chain=task.write_chain(said.fields),
        fields=said.fields,
        chain_label=said.prediction,
        chain_problem=said.problem,
        cut=own.reply.finish == Finish.LENGTH,
        problem="" if said.prediction is not None else str(own.verdict),
    )
