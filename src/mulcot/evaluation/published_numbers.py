"""What papers report for the datasets of this package, to stand beside one's own results, always marked as theirs.

Of the Multimodal-CoT paper (arXiv 2302.00923) these are the tables of version 5. Version 1 reports 91.68 for the large
model; its rationales were made with the right ones in view, so that row is not here.
"""

from __future__ import annotations

from typing import NamedTuple

from mulcot.evaluation.question_scores import PublishedRow
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


COLUMNS = ("NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12", "AVG")
_SCIENCEQA = """
Human | - | 90.23 84.97 87.48 89.60 87.50 88.10 91.59 82.42 88.40
MCAN | 95M | 56.08 46.23 58.09 59.43 51.17 55.40 51.65 59.72 54.54
Top-Down | 70M | 59.50 54.33 61.82 62.90 54.88 59.79 57.27 62.16 59.02
BAN | 112M | 60.88 46.57 66.64 62.61 52.60 65.51 56.83 63.94 59.37
DFAF | 74M | 64.03 48.82 63.55 65.88 54.49 64.11 57.12 67.17 60.72
ViLT | 113M | 60.48 63.89 60.27 63.20 61.38 57.00 60.72 61.90 61.14
Patch-TRM | 90M | 65.19 46.79 65.55 66.96 55.28 64.95 58.04 67.50 61.42
VisualBERT | 111M | 59.33 69.18 61.18 62.71 62.17 58.54 62.96 59.92 61.87
UnifiedQA (CoT) | 223M | 71.00 76.04 78.91 66.42 66.53 81.81 77.06 68.82 74.11
GPT-3.5 (002) | 173B | 75.44 70.87 78.09 74.68 67.43 79.93 78.23 69.68 75.17
GPT-3.5 (003) | 173B | 77.71 68.73 80.18 75.12 67.92 81.81 80.58 69.08 76.47
ChatGPT | - | 78.82 70.98 83.18 77.37 67.92 86.13 80.72 74.03 78.31
GPT-4 | - | 85.48 72.44 90.27 82.65 71.49 92.89 86.66 79.04 83.99
Chameleon (ChatGPT) | - | 81.62 70.64 84.00 79.77 70.80 86.62 81.86 76.53 79.93
Chameleon (GPT-4) | - | 89.83 74.13 89.82 88.27 77.64 92.13 88.03 83.72 86.54
LLaMA-Adapter | 6B | 84.37 88.30 84.36 83.72 80.32 86.90 85.83 84.05 85.19
LLaVA | 13B | 90.36 95.95 88.00 89.49 88.00 90.66 90.93 90.90 90.92
Multimodal-CoT base | 223M | 84.06 92.35 82.18 82.75 82.75 84.74 85.79 84.44 85.31
Multimodal-CoT large | 738M | 91.03 93.70 86.64 90.13 88.25 89.48 91.12 89.26 90.45
"""
_AOKVQA = """
BERT | - | 32.93
GPT-3 Curie | - | 35.07
IPVR (OPT-66B) | - | 48.6
ViLBERT | - | 49.1
Language only | 223M | 47.86
Multimodal-CoT base | 223M | 50.57
"""


def published_rows(dataset: str) -> list[PublishedRow]:
    """The paper's rows on a dataset; none where it reports none."""
    if dataset == "scienceqa":
        return [*_rows(_SCIENCEQA, COLUMNS), *_ablations()]
    return _rows(_AOKVQA, COLUMNS[-1:]) if dataset == "aokvqa" else []


def _rows(table: str, columns: tuple[str, ...]) -> list[PublishedRow]:
    rows = []
    for line in table.strip().splitlines():
        model, size, values = line.split(" | ")
        numbers = map(float, values.split())
        rows.append(PublishedRow(model=model, size=size, values=dict(zip(columns, numbers, strict=True))))
    return rows


def _ablations() -> list[PublishedRow]:
    """Base models: one stage, text alone, and with captions; Rouge-L of rationales where there are some."""
    found = {
        "base, QCM-A, text": {"AVG": 81.63},
        "base, QCM-RA, text": {"AVG": 69.32},
        "base, QCM-AR, text": {"AVG": 69.68},
        "base, two stages, text": {"ROUGE-L": 90.73, "AVG": 78.57},
        "base, two stages, text and captions": {"ROUGE-L": 90.88, "AVG": 79.37},
        "base, two stages, ViT": {"ROUGE-L": 93.46, "AVG": 85.31},
        "base, without two stages": {"AVG": 82.62},
        "large, without two stages": {"AVG": 84.56},
        "large, without vision": {"AVG": 83.97},
        "large, generated rationales": {"IMG": 83.54, "TXT": 85.73, "AVG": 87.76},
    }
    return [PublishedRow(model=f"Multimodal-CoT {name}", values=values) for name, values in found.items()]
