"""A page to read chains beside their posts, and to rate them: everything in one file, nothing loaded, nothing sent.

Ratings stay in the browser until they are saved as a file, which `mulcot teacher ratings` summarises.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mulcot.errors import DataError, MediaError
from mulcot.media import Gallery, encode_jpeg
from mulcot.progress import Reporter
from mulcot.records import Example, Json, Rationale, content_id, read_lines
from mulcot.report.pages.page import asset, data_uri, render, write_page
from mulcot.rundir import need_place
from mulcot.teacher.labelling.chain_files import Failure
from mulcot.teacher.labelling.filters import PREDICTION
from mulcot.teacher.labelling.ratings import QUESTIONS, SCALE

THUMBNAIL = (420, 420)
OUTCOMES = {
    "stage1": "found alone",
    "stage2": "with the label given",
    "stage0": "imported",
    "failed": "without a chain",
}


@dataclass(frozen=True, slots=True)
class ReviewFolders:
    """Where a run keeps what the page shows."""

    name: str
    """What the run is called."""
    dataset: Path
    teacher: Path


@dataclass(slots=True)
class Card:
    """One example with its chain, or with the replies that were not accepted."""

    example: Example
    record: Rationale | Failure
    pictures: list[str] = field(default_factory=list)

    @property
    def chain(self) -> Rationale | None:
        """The accepted chain."""
        return self.record if isinstance(self.record, Rationale) else None

    @property
    def failure(self) -> Failure | None:
        """Why there is none."""
        return self.record if isinstance(self.record, Failure) else None

    @property
    def outcome(self) -> str:
        """Key of `OUTCOMES`."""
        return f"stage{self.record.stage}" if isinstance(self.record, Rationale) else "failed"

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The chain's names and values for reading, without the prediction."""
        found: Mapping[str, str] = self.chain.fields if self.chain else {}
        return [(name.replace("_", " "), value) for name, value in found.items() if name != PREDICTION]

    @property
    def digest(self) -> str:
        """Tells this chain from a rewritten one."""
        return chain_digest(self.chain.fields) if self.chain else ""

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Letter and text."""
        return [(chr(65 + number), text) for number, text in enumerate(self.example.choices)]


def write_review(
    folders: ReviewFolders, gallery: Gallery, out: Path, *, number: int, seed: int, reporter: Reporter
) -> int:
    """Draws examples evenly from stages and reasons, writes the page, and says how many it shows."""
    need_place(out)
    summary: Json = json.loads((folders.teacher / "summary.json").read_text("utf-8"))
    chosen = _draw(folders.teacher, number, seed)
    cards = _cards(folders, chosen, gallery, reporter)
    write_page(out, review_html(cards, folders.name, summary))
    return len(cards)


def review_html(cards: list[Card], name: str, summary: Json) -> str:
    """The page itself."""
    if not cards:
        raise DataError("there is no chain and no failure to show", hint="Run the teacher stage first.")
    outcomes = [key for key in OUTCOMES if any(card.outcome == key for card in cards)]
    made_up = bool(summary.get("simulated")) or any(card.chain is not None and card.chain.simulated for card in cards)
    return render(
        "review.html",
        title=f"Chains of {name}",
        styles=[asset("review.css")],
        script=asset("review.js"),
        run=name,
        page=content_id(name, *(f"{card.example.id} {card.digest}" for card in cards)),
        summary=summary,
        simulated=made_up,
        cards=cards,
        outcomes={key: OUTCOMES[key] for key in outcomes},
        names=OUTCOMES,
        labels=sorted({card.example.label for card in cards if card.example.label}),
        reasons=sorted({card.failure.reason for card in cards if card.failure}),
        questions=QUESTIONS,
        scale=SCALE,
    )


def chain_digest(fields: Mapping[str, str]) -> str:
    """The hash of a chain's text."""
    return content_id(*(part for item in fields.items() for part in item))


def _draw(teacher: Path, number: int, seed: int) -> set[str]:
    """The same number of every group, as far as it goes; which ones depends on the seed and their ids alone."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for record in _records(teacher):
        if isinstance(record, Failure) and not record.trials:
            continue  # nothing was said, so there is nothing to read
        group = f"stage{record.stage}" if isinstance(record, Rationale) else record.reason
        entry = (content_id(str(seed), record.example_id), record.example_id)
        groups.setdefault(group, []).append(entry)
        if len(groups[group]) > 4 * number:
            groups[group] = heapq.nsmallest(number, groups[group])
    queues = [iter(sorted(group)) for _, group in sorted(groups.items())]
    chosen: set[str] = set()
    while queues and len(chosen) < number:
        for queue in list(queues):
            drawn = next(queue, None)
            if drawn is None:
                queues.remove(queue)
            elif len(chosen) < number:
                chosen.add(drawn[1])
    return chosen


def _cards(folders: ReviewFolders, chosen: set[str], gallery: Gallery, reporter: Reporter) -> list[Card]:
    """In the order of the dataset."""
    records = {record.example_id: record for record in _records(folders.teacher) if record.example_id in chosen}
    cards = []
    with reporter.bar("review", total=len(records), unit="examples") as bar:
        for example in read_lines(folders.dataset / "examples.jsonl", Example):
            if example.id in records:
                cards.append(Card(example, records[example.id], list(_pictures(example, gallery))))
                bar.advance()
    return cards


def _records(teacher: Path) -> Iterator[Rationale | Failure]:
    yield from read_lines(teacher / "rationales.jsonl", Rationale)
    yield from read_lines(teacher / "failures.jsonl", Failure)


def _pictures(example: Example, gallery: Gallery) -> Iterator[str]:
    for image in example.images:
        try:
            yield data_uri(encode_jpeg(gallery.open(image), THUMBNAIL, 80))
        except MediaError:
            continue  # moved or changed since the run; the card says so
