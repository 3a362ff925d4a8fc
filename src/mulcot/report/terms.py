"""What things are called on pages: a question has an answer, and what the first of two models writes is a rationale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mulcot.methods import DEFAULT, MULTIMODAL_COT, methods
from mulcot.tasks.base import tasks

TWO_STAGE = MULTIMODAL_COT.name
LABEL_MEASURES = {"accuracy": "accuracy", "macro_f1": "macro F1", "weighted_f1": "weighted F1"}
LETTER_MEASURES = {"accuracy": "accuracy"}
"""Which letter stands before an answer means nothing, so means over letters mean nothing either."""


class Terms(NamedTuple):
    """Each in the singular; an s makes the plural."""

    label: str = "label"
    chain: str = "chain"
    example: str = "example"
    measures: Mapping[str, str] = LABEL_MEASURES
    """The measures of labels worth showing, with their titles."""
    floor: str = "another reference of the same label"
    """What an overlap is compared with."""


POSTS = Terms()


def words_of(task: str, method: str) -> Terms:
    """The words of a run; a task of a package that is not installed is taken for one with labels."""
    known = methods().get(method, DEFAULT)  # of a package that is not installed, too
    words = POSTS._replace(chain=known.chain)
    if task not in tasks.names() or not tasks.get(task).positional_labels:
        return words
    floor = "another question's reference"
    return words._replace(label="answer", example="question", measures=LETTER_MEASURES, floor=floor)
