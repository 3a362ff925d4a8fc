"""`mulcot score FILE`: every metric, as published and standard, for any predictions."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mulcot.errors import DataError, MulcotError, printable

if TYPE_CHECKING:
    from mulcot.metrics.reply_reading import AnswerReader
    from mulcot.metrics.scores import PredictionRow, Variant
    from mulcot.records import Rejected

EXAMPLE = 'Each line is one JSON object: {"id": "1", "prediction": "...", "reference": "...", "label": "positive"}.'
LISTED = 10
LISTED_IN_JSON = 1000
MAX_ROWS = 1_000_000
MAX_LABELS = 200


def score(
    file: Annotated[Path, typer.Argument(help="Rows of id, prediction, reference, optional label.", metavar="FILE")],
    labels: Annotated[
        str | None, typer.Option(help="The label set; without it, the labels that occur.", metavar="A,B,C")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    wordnet: Annotated[
        Path | None, typer.Option(help="WordNet's folder, if it is not in a standard place.", metavar="DIR")
    ] = None,
    similarity_model: Annotated[
        Path | None, typer.Option(help="A folder with all-MiniLM-L6-v2, if it is not installed.", metavar="DIR")
    ] = None,
    similarity: Annotated[bool, typer.Option(help="Compute semantic similarity (needs a model; slow).")] = True,
) -> None:
    """Score predictions against references, as published and as the usual tools do."""
    from mulcot.metrics.chains import ChainScorer
    from mulcot.metrics.scores import score as score_rows
    from mulcot.progress import Reporter

    for option, folder in (("--wordnet", wordnet), ("--similarity-model", similarity_model)):
        if folder is not None and not folder.is_dir():
            raise MulcotError(f"{option}: {folder} is not a folder")
    if similarity_model is not None and not similarity:
        raise MulcotError("--similarity-model and --no-similarity exclude each other")
    reader, strangers = _named(labels), "--labels names"
    rows, rejected = _read(file)
    named = reader is not None
    if reader is None:
        reader, strangers = _occurring(rows), ""
    if reader is not None:
        rows = _spelled(rows, reader, strangers, rejected)
    if not rows:
        raise DataError(f"{file} has no usable row: {_reasons(rejected)}", hint=EXAMPLE)
    reporter = Reporter.auto()
    scorer = ChainScorer(wordnet=wordnet, minilm=similarity_model, similarity=similarity, reporter=reporter)
    variants = score_rows([row for _, row in rows], reader, scorer)
    notes = {f"{name}.{key}": text for name, v in variants.items() for key, text in v.to_json()["notes"].items()}
    if reader is not None and not named:
        notes["labels"] = "the label set is what occurs in the file; a label that never occurs is missing from it"
    if as_json:
        _print_json(variants, len(rows), rejected, reader, notes)
    else:
        _show(variants, len(rows), rejected, notes)


def _read(path: Path) -> tuple[list[tuple[str, PredictionRow]], list[Rejected]]:
    """Usable rows with their places, and the others with the reason."""
    from mulcot.datasets.readers.lines import read_lines
    from mulcot.records import Rejected

    rows: dict[str, tuple[str, PredictionRow]] = {}
    rejected: list[Rejected] = []
    for line in read_lines(path, path.name):
        if isinstance(line, Rejected):
            rejected.append(line)
        elif line.text.strip():
            found = _row(line.source, line.text)
            if isinstance(found, Rejected):
                rejected.append(found)
            elif found.id in rows:
                detail = f"{found.id[:80]!r} stands at {rows[found.id][0]} too; the first counts"
                rejected.append(Rejected(source=line.source, reason="duplicate_id", detail=detail, id=found.id))
            else:
                rows[found.id] = (line.source, found)
        if len(rows) > MAX_ROWS:
            raise DataError(f"{path} has more than {MAX_ROWS:,} rows", hint="Score it in parts.")
    if not rows and not rejected:
        raise DataError(f"{path} is empty", hint=EXAMPLE)
    return list(rows.values()), rejected


def _row(source: str, text: str) -> PredictionRow | Rejected:
    """One line as a row."""
    from mulcot.metrics.scores import PredictionRow
    from mulcot.records import Rejected

    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Rejected(source=source, reason="bad_json", detail=str(error)[:200])
    if not isinstance(data, dict):
        return Rejected(source=source, reason="bad_json", detail=f"a {type(data).__name__} where an object must stand")
    given = data.get("id")
    name = str(given) if isinstance(given, str) or type(given) is int else None
    for key, value in (("id", name), ("prediction", data.get("prediction")), ("reference", data.get("reference"))):
        if not isinstance(value, str):
            got = f"got {type(value).__name__}" if key in data else f"has {', '.join(map(str, list(data)[:6]))}"
            detail = f"{key!r} must be text; {got}"[:200]
            return Rejected(source=source, reason=f"no_{key}", detail=detail, id=name)
    label = data.get("label")
    if label is not None and not isinstance(label, str):
        return Rejected(source=source, reason="bad_label", detail=f"got {type(label).__name__}", id=name)
    if not data["reference"].strip():
        return Rejected(source=source, reason="empty_reference", detail="there is nothing to compare with", id=name)
    return PredictionRow(
        id=name or "", prediction=data["prediction"], reference=data["reference"], label=(label or "").strip() or None
    )


def _named(labels: str | None) -> AnswerReader | None:
    """The label set that was named."""
    from mulcot.metrics.reply_reading import AnswerReader

    return None if labels is None else AnswerReader([name.strip() for name in labels.split(",") if name.strip()])


def _occurring(rows: list[tuple[str, PredictionRow]]) -> AnswerReader | None:
    """The label set that occurs; None where there is none to read."""
    from mulcot.metrics.reply_reading import AnswerReader
    from mulcot.tasks.label_reading import label_key

    occurring = {label_key(row.label): row.label for _, row in reversed(rows) if row.label is not None}
    if len(occurring) > MAX_LABELS:
        hint = "The column `label` holds the right label; name the set with --labels."
        raise DataError(f"{len(occurring)} different labels occur, more than {MAX_LABELS}", hint=hint)
    return AnswerReader(sorted(occurring.values())) if len(occurring) > 1 else None


def _spelled(
    rows: list[tuple[str, PredictionRow]], reader: AnswerReader, origin: str, rejected: list[Rejected]
) -> list[tuple[str, PredictionRow]]:
    """Labels as the set spells them; rows with another label are rejected."""
    from dataclasses import replace

    from mulcot.records import Rejected

    kept = []
    for source, row in rows:
        label = None if row.label is None else reader.canonical(row.label)
        if row.label is not None and label is None:
            detail = f"got {row.label[:80]!r}; {origin} {', '.join(reader.labels)}"
            rejected.append(Rejected(source=source, reason="unknown_label", detail=detail, id=row.id))
        else:
            kept.append((source, replace(row, label=label)))
    return kept


def _print_json(
    variants: dict[str, Variant],
    rows: int,
    rejected: list[Rejected],
    reader: AnswerReader | None,
    notes: dict[str, str],
) -> None:
    out: dict[str, Any] = {
        "rows": rows,
        "rejected": len(rejected),
        "rejected_rows": [row.to_json() for row in rejected[:LISTED_IN_JSON]],
        "labels": list(reader.labels) if reader else None,
        **{name: variant.to_json() for name, variant in variants.items()},
        "notes": notes,
    }
    print(json.dumps(out, indent=2, allow_nan=False))


def _show(variants: dict[str, Variant], rows: int, rejected: list[Rejected], notes: dict[str, str]) -> None:
    """A table of both variants, the floors in brackets beside them, and what has to be known about them."""
    from mulcot.metrics.chains import CHAIN_METRICS
    from mulcot.metrics.scores import LABEL_METRICS

    pages = {name: variant.to_json() for name, variant in variants.items()}
    print(f"{rows:,} rows scored, {len(rejected):,} rejected")
    print(f"\n{'':<14}" + "".join(f"{name:<30}" for name in pages))
    for metric in (*LABEL_METRICS, *CHAIN_METRICS):
        floor = "majority_label" if metric in LABEL_METRICS else "random_reference"
        print(f"{metric:<14}" + "".join(f"{_cell(page, metric, floor):<30}" for page in pages.values()).rstrip())
    unparsed = "".join(f"{'-' if page['unparsed'] is None else page['unparsed']:<30}" for page in pages.values())
    print(f"{'unparsed':<14}{unparsed}".rstrip())
    print("\nvalue [95 % interval] (floor: majority label, or another reference of the same label)")
    paper = pages["paper"]
    if "distinct_1_references" in paper:
        both = f"{paper['distinct_1_references']:.4f} and {paper['distinct_2_references']:.4f}"
        print(f"distinct_1 and distinct_2 on the references, as published: {both}")
    if "meteor_exact_stem" in paper:
        print(f"meteor_exact_stem: {paper['meteor_exact_stem']:.4f}")
    print(f"standard bleu: {pages['standard']['how']['bleu']}")
    for text, names in _grouped(notes).items():
        print(f"note on {', '.join(names)}: {text}")
    if rejected:
        print(f"rejected: {_reasons(rejected)}", file=sys.stderr)
        for row in rejected[:LISTED]:
            print(printable(f"  {row.source}: {row.reason}: {row.detail}"), file=sys.stderr)


def _cell(page: dict[str, Any], metric: str, floor: str) -> str:
    """`0.4312 [0.41, 0.45] (0.31)`."""
    if page[metric] is None:
        return "-"
    ends, below = page["intervals"].get(metric), page["floors"][floor]
    shown = f"{page[metric]:.4f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else "")
    return shown + (f" ({below[metric]:.3f})" if below and below[metric] is not None else "")


def _grouped(notes: dict[str, str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, text in notes.items():
        grouped.setdefault(text, []).append(name)
    return grouped


def _reasons(rejected: Iterable[Rejected]) -> str:
    from collections import Counter

    counts = Counter(row.reason for row in rejected)
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
