"""The world as Markdown tables, made from its data: what docs/world.md shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mulcot.world import vocabulary
from mulcot.world.ceilings import ceilings
from mulcot.world.question_kinds import LESSONS
from mulcot.world.science_vocabulary import SUBJECTS
from mulcot.world.vocabulary_types import MOODS, Detail


def rules_table() -> str:
    """The rules from the top: the first line that fits decides."""
    return _table(("rule", "when", "who wins", "share of posts"), _rules())


def scenes_table() -> str:
    """Every kind of scene with its details by mood."""
    return _table(("scene", "shows", *MOODS), _scenes())


def ceilings_table() -> str:
    """What can be reached from one side and from both, in per cent."""
    rows = []
    for name, exact in (("posts", ceilings()), ("posts with aspects", ceilings(aspects=True))):
        rows.append((name, *(f"{100 * value:.1f}" for value in exact)))
    return _table(("accuracy in %", "majority", "text alone", "picture alone", "both"), rows)


def lessons_table() -> str:
    """Every kind of question with its place at school."""
    rows = (
        (name, lesson.sentence, lesson.board or "none", SUBJECTS[name].subject, SUBJECTS[name].grade)
        for name, lesson in LESSONS.items()
    )
    return _table(("kind", "question", "picture", "subject", "grade"), rows)


def _rules() -> Iterator[tuple[str, ...]]:
    for rule in vocabulary.RULES:
        when = (
            "the picture shows something else" if rule.related is False else "",
            "text and picture convey the same" if rule.same else "",
            f"the text conveys {rule.text}" if rule.text else "",
            f"the picture conveys {rule.picture}" if rule.picture else "",
            "the text carries a firm marker" if rule.firm else "",
        )
        yield rule.name, " and ".join(filter(None, when)), rule.winner, f"{rule.share} %"


def _scenes() -> Iterator[tuple[str, ...]]:
    for kind in vocabulary.KINDS:
        for role, details in (("main thing", kind.main), ("setting", kind.setting)):
            yield kind.name, role, *(_phrases(details, mood) for mood in MOODS)


def _phrases(details: Iterable[Detail], mood: str) -> str:
    return ", ".join(entry.phrase for entry in details if entry.mood == mood)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, tuple("---" for _ in head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


TABLES = {"rules": rules_table, "scenes": scenes_table, "ceilings": ceilings_table, "lessons": lessons_table}
"""By the name that the page gives them."""
