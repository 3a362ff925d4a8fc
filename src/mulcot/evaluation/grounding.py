"""Whether chains say what the synthetic world's pictures show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mulcot.evaluation.scores import Grounding
from mulcot.records import Example
from mulcot.world.chains import write_chain
from mulcot.world.checking import Statement, check_chain
from mulcot.world.science import ScienceTruth
from mulcot.world.science_chains import write_science_chain
from mulcot.world.science_checking import check_science
from mulcot.world.truth import Truth

SEEN = frozenset(
    ("kind", "main", "setting", "colour", "count", "extra", "picture", "height", "extreme", "site", "beside")
)
"""What statements about a picture are about."""
PICTURE_FIELD = "Image_analysis"


def world_chain(example: Example) -> dict[str, str] | None:
    """A right chain of a synthetic example, in wording of its own; None where there is no truth."""
    truth = _truth(example)
    if truth is None:
        return None
    seed = int.from_bytes(example.id.encode("utf-8", "replace")[-6:])
    return write_chain(truth, seed) if isinstance(truth, Truth) else write_science_chain(truth, seed)


def ground(pairs: Iterable[tuple[Example, Mapping[str, str]]]) -> Grounding | None:
    """The scores of chains, each with its example; None where no example has a truth."""
    checked = [(truth, _check(fields, truth)) for example, fields in pairs if (truth := _truth(example)) is not None]
    if not checked:
        return None
    seen = [[s for s in statements if s.about in SEEN] for _, statements in checked]
    about_picture = [s for statements in seen for s in statements]
    unknown = [s for _, found in checked for s in found if s.verdict == "uncheckable" and s.field == PICTURE_FIELD]
    everything = [s for _, statements in checked for s in statements if s.verdict != "uncheckable"]
    posts = [(truth.relation == "conflict", _claims_conflict(truth, found)) for truth, found in checked
             if isinstance(truth, Truth)]  # fmt: skip
    true = sum(s.verdict == "true" for s in about_picture)
    return Grounding(
        chains=sum(bool(statements) for statements in seen),
        statements=len(about_picture),
        true=true,
        false=len(about_picture) - true,
        uncheckable=len(unknown),
        true_share=_share([s.verdict == "true" for s in about_picture]),
        hallucinating=_share([any(s.verdict == "false" for s in statements) for statements in seen]),
        everything=_share([s.verdict == "true" for s in everything]),
        conflicts=sum(conflict for conflict, _ in posts),
        conflicts_found=_share([claims for conflict, claims in posts if conflict]),
        false_alarms=_share([claims for conflict, claims in posts if not conflict]),
    )


def _truth(example: Example) -> Truth | ScienceTruth | None:
    if not example.truth:
        return None
    return ScienceTruth.from_json(example.truth) if "question" in example.truth else Truth.from_json(example.truth)


def _check(fields: Mapping[str, str], truth: Truth | ScienceTruth) -> tuple[Statement, ...]:
    return check_chain(fields, truth) if isinstance(truth, Truth) else check_science(fields, truth)


def _claims_conflict(truth: Truth, statements: Sequence[Statement]) -> bool:
    """A denied conflict is true of other posts and false of conflicting ones, so it claims none."""
    verdict = "true" if truth.relation == "conflict" else "false"
    return any(s.about == "relation" and s.said.startswith("conflict") and s.verdict == verdict for s in statements)


def _share(held: Sequence[bool]) -> float | None:
    return sum(held) / len(held) if held else None
