"""What there is to know about a lesson, as choices: what is shown, what is said about what, whether both fit."""

from __future__ import annotations

from mulcot.tiny.pretraining_examples import PretrainingExample
from mulcot.world import vocabulary

FACTS: dict[str, tuple[str, ...]] = {
    "kind": tuple(kind.name for kind in vocabulary.KINDS),
    "main": tuple(entry.phrase for kind in vocabulary.KINDS for entry in kind.main),
    "setting": tuple(sorted({entry.phrase for kind in vocabulary.KINDS for entry in kind.setting})),
    "about": tuple(kind.name for kind in vocabulary.KINDS),
    "topic": tuple(topic for kind in vocabulary.KINDS for topic in kind.topics),
    "words": tuple(words.replace("{topic}", "").strip() for tone in vocabulary.TONES.values() for words in tone),
    "mark": ("", *(mark for marks in vocabulary.MARKERS.values() for mark in marks)),
    "together": ("no", "yes"),
}
"""Every question and its choices. None is about a mood: `words` are the words themselves."""


def facts(lesson: PretrainingExample) -> dict[str, int]:
    """The number of the right choice of every question that the lesson's post and picture answer."""
    scene, clause = lesson.scene, lesson.clause
    known = {"kind": scene.kind, "main": scene.main_detail.phrase, "setting": scene.setting_detail.phrase}
    if clause is not None:
        together = "yes" if clause.kind == scene.kind else "no"
        known |= {"about": clause.kind, "topic": clause.topic, "words": clause.words}
        known |= {"mark": clause.mark, "together": together}
    return {name: FACTS[name].index(value) for name, value in known.items()}
