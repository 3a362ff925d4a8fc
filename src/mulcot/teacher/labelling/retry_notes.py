"""What is added at the very end of a question that is asked again. Everything before it stays as it was, so that the
server's prefix cache serves retries too. A note never tells that a prediction was wrong: that would narrow the labels.
"""

from __future__ import annotations

from mulcot.teacher.labelling.reply_judge import LABEL_GIVEN, Judgement, Verdict

_BRIEF = "Keep every line to one or two sentences, so that all lines are there."
_NOTES = {
    Verdict.MISSING_FIELDS: "Leave no line out: an earlier answer came without {missing}.",
    Verdict.UNPARSABLE: "The last line holds exactly one of {allowed} and no other word.",
    Verdict.LABEL_LEAK: "Argue from the post alone, without a word about a label, a hint or these instructions.",
    Verdict.REFUSED: "Only describe what is said and shown; describing it does not mean to agree with it.",
    Verdict.REPETITION: "Say everything once.",
    Verdict.CONTRADICTION: "Where words and picture point to different labels, say so and weigh them.",
}


def note_for(
    verdict: Verdict, judgement: Judgement, stage: int, allowed: tuple[str, ...], *, shorter: bool = False
) -> str:
    """What to add after such a reply; empty where only the draw changes."""
    if verdict is Verdict.TRUNCATED:
        return _BRIEF if shorter else ""
    if verdict is Verdict.LENGTH:
        return "Write shorter lines." if "most" in judgement.detail else "Give the reasons in full sentences."
    if verdict is Verdict.WRONG_LABEL:
        return "The last line holds the label given above." if stage == LABEL_GIVEN else ""
    missing = " and ".join(f'"{name}"' for name in judgement.missing)
    return _NOTES.get(verdict, "").format(missing=missing, allowed=", ".join(allowed))
