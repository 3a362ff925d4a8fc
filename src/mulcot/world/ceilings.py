"""The best accuracy that anyone can reach from the text alone, the picture alone, and both: exact, by enumeration.

Whoever sees a text can know its topic, its tone and its marker (`parse_clauses` reads them); whoever sees a picture can
know its scene (`read_scene` reads it). Everything else about a post is drawn independently of its label. So the best
guess from one side is the likeliest label given those, and its accuracy is a sum over the cases of the generating
distribution.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import NamedTuple

from mulcot.world.posts import PostPlan, cases
from mulcot.world.truth import first_rule
from mulcot.world.vocabulary_types import Mood


class Ceilings(NamedTuple):
    """Accuracies between 0 and 1; `majority` is what is reached without looking at anything."""

    majority: float
    text: float
    image: float
    both: float


def ceilings(*, aspects: bool = False) -> Ceilings:
    """The same for every split: the hard one changes how moods are shown, not how they decide.

    With aspects, whoever sees the picture alone is still told which aspect is asked about, and so knows whether the
    picture shows it.
    """
    return Ceilings(
        majority=best_accuracy(lambda case: ""),
        text=best_accuracy(lambda case: (case.text, case.marker)),
        image=best_accuracy(lambda case: (case.picture, case.related if aspects else None)),
        both=best_accuracy(lambda case: case),
    )


def label_shares() -> dict[Mood, float]:
    """How often each label occurs."""
    shares: dict[Mood, Fraction] = defaultdict(Fraction)
    for case, probability in cases().items():
        shares[label_of(case)] += probability
    return {mood: float(share) for mood, share in shares.items()}


def best_accuracy(observed: Callable[[PostPlan], Hashable]) -> float:
    """The accuracy of always guessing the likeliest label given what is observed."""
    joint: dict[Hashable, dict[Mood, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for case, probability in cases().items():
        joint[observed(case)][label_of(case)] += probability
    return float(sum(max(labels.values()) for labels in joint.values()))


def label_of(case: PostPlan) -> Mood:
    """The label of all posts of a case."""
    firm = case.marker == "firm"
    rule = first_rule(related=case.related, text=case.text, picture=case.picture, firm=firm)
    return case.picture if rule.winner == "picture" else case.text
