"""What papers report for the datasets of this package, to stand beside one's own results, always marked as theirs."""

from __future__ import annotations

from typing import NamedTuple

from mulcot.records import Json

MULCOT_RD = "MulCoT-RD paper, arXiv 2508.05234"
SURVEY = "survey of multimodal emotion recognition, arXiv 2605.21239, which credits MulCoT-RD"


class PublishedNumber(NamedTuple):
    """One number that others report."""

    model: str
    accuracy: float
    source: str
    note: str = ""


TABLE: dict[str, tuple[PublishedNumber, ...]] = {
    "MVSA-Single": (PublishedNumber("student, 3B", 0.836, MULCOT_RD, "as its summaries give it"),),
    "MVSA-Multiple": (PublishedNumber("student, 3B", 0.772, SURVEY, "the variant of the method is not told"),),
    "Twitter-2015": (PublishedNumber("student, 3B", 0.868, MULCOT_RD, "as its summaries give it"),),
}
"""Only what could be found; intervals were not reported."""


def benchmark(recipe: Json) -> str | None:
    """The name under which papers know a recipe's dataset; None where they do not."""
    dataset = recipe.get("dataset")
    options = dataset if isinstance(dataset, dict) else {}
    folder = str(options.get("root", "")).rstrip("/").rpartition("/")[2].lower()
    if options.get("name") == "twitter":
        return next((f"Twitter-{year}" for year in ("2015", "2017") if year in folder), None)
    if options.get("name") == "mvsa":
        variant = str(options.get("variant", "auto"))
        variant = next((name for name in ("single", "multiple") if name in (variant, folder.rpartition("_")[2])), "")
        return f"MVSA-{variant.title()}" if variant else None
    return None


def published(recipe: Json) -> tuple[PublishedNumber, ...]:
    """The numbers for a recipe's dataset; empty where none are known."""
    return TABLE.get(benchmark(recipe) or "", ())
