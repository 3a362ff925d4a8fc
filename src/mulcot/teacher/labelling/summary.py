"""`summary.json` as a page of plain text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mulcot.errors import printable
from mulcot.records import Json
from mulcot.teacher.labelling.confusion import PredictionCounts

_BAR = 30
_ROWS = 12
_UNITS = {"replies_per_example": "replies per example", "words_per_chain": "words per chain",
          "completion_tokens": "tokens per reply", "latency_seconds": "seconds per reply"}  # fmt: skip


def summary_lines(summary: Json) -> list[str]:
    """Everything worth a look, in the order in which it is usually asked."""
    parts = (_head, _reasons, _attempts, _confusion, _cost, _histograms)
    return [printable(line) for part in parts for line in part(summary)]


def _head(summary: Json) -> Iterator[str]:
    made_up = "  (simulated: these chains are made up)" if summary.get("simulated") else ""
    yield f"teacher {summary['teacher']}, preset {summary['preset']}{made_up}"
    total = summary["examples"]
    names = {"stage1": "found alone", "stage2": "with the label given", "imported": "imported"}
    rows = [(names[key], count) for key, count in summary["accepted"].items()] + [
        ("without a chain", summary["failed"])
    ]
    yield f"  {'examples':<24}{total:>9,}"
    for name, count in rows:
        yield f"  {name:<24}{count:>9,}  {_percent(count, total)}"


def _reasons(summary: Json) -> Iterator[str]:
    if summary["reasons"]:
        yield "why there is no chain"
        for reason, count in summary["reasons"].items():
            yield f"  {reason:<24}{count:>9,}"
    shown = {stage: {k: v for k, v in found.items() if k != "complete"} for stage, found in summary["verdicts"].items()}
    for stage, found in shown.items():
        if found:
            listed = ", ".join(f"{name} {count:,}" for name, count in sorted(found.items(), key=lambda item: -item[1]))
            yield f"  rejected in {stage}: {listed}"


def _attempts(summary: Json) -> Iterator[str]:
    for stage, found in summary["attempts"].items():
        if found["limit"] is None:
            continue
        yield f"{stage}: attempt    asked    first whole   accepted"
        for number, row in enumerate(zip(found["asked"], found["whole"], found["accepted"], strict=True), start=1):
            asked, whole, accepted = row
            yield f"  {number:>13}  {asked:>7,}  {whole:>13,}  {accepted:>9,}  {_percent(accepted, asked)}"
        yield f"  {_advice(found)}"


def _advice(found: Json) -> str:
    every, nearly = found["enough_for_all"], found["enough_for_99_percent"]
    if not every:
        return "nothing was accepted"
    text = f"a limit of {every} would have been enough"
    if nearly < every:
        text += f", {nearly} for 99% of it"
    if found.get("more_may_help"):
        text += "; the last attempt still helped, so a higher limit may give more"
    return text


def _confusion(summary: Json) -> Iterator[str]:
    if summary["confusion"]:
        confusion = PredictionCounts()
        for label, row in summary["confusion"].items():
            for predicted, count in row.items():
                confusion.counts[label, predicted] = count
        yield f"labels found without the label given: {summary['stage1_accuracy']:.1%}"
        yield from (f"  {line}" for line in confusion.lines())


def _cost(summary: Json) -> Iterator[str]:
    spent = summary.get("spent")
    if not spent:
        return
    failed = sum(spent["failed_tries"].values())
    yield f"asked in this run folder: {spent['requests']:,} replies, {spent['from_cache']:,} from the cache, " + (
        f"{failed:,} failed tries"
    )
    least = "at least " if spent["unknown_usage"] else ""
    yield (
        f"  tokens {least}{spent['prompt']:,} prompt, {least}{spent['completion']:,} completion; money {spent['shown']}"
    )


def _histograms(summary: Json) -> Iterator[str]:
    for name, found in summary["histograms"].items():
        yield f"{_UNITS[name]}: mean {found['mean']:,g}, {found['min']:,g} to {found['max']:,g}"
        yield from _bars(found)


def _bars(found: dict[str, Any]) -> Iterator[str]:
    """At most a dozen bars; the longest tail shares the last one."""
    bins = list(found["bins"].items())
    head, tail = (bins, []) if len(bins) <= _ROWS else (bins[: _ROWS - 1], bins[_ROWS - 1 :])
    if tail:
        head = [*head, (f"{tail[0][0]}+", sum(count for _, count in tail))]
    most = max(count for _, count in head)
    for low, count in head:
        yield f"  {low:>8}  {'#' * max(1, round(_BAR * count / most)):<{_BAR}}  {count:,}"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:>6.1%}" if whole else ""
