"""Stage 4, `annotate`: the assistant writes chains of its own, and gives soft labels for every target token.

chains/            what it wrote, shard by shard
rationales.jsonl   its chains that are complete and right, in the order of the examples
failures.jsonl     the others, with the reason
soft_labels/       for every lesson of teacher and assistant: its largest logits per target token, and its labels
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.errors import TrainingError
from mulcot.records import Example, Json, Rationale, read_lines
from mulcot.rundir import atomic, write_text
from mulcot.settings import fingerprint, volatile
from mulcot.stages.base import Job, Need, Stage, stages
from mulcot.stages.shared_training import MODEL, chains_of, load_model, training_examples, weights_hash

if TYPE_CHECKING:
    from mulcot.backbones.vlm.example_encoder import ExampleEncoder, TrainingItem


@stages.register("annotate")
class AnnotateStage(Stage):
    """Sampling chains, and storing soft labels."""

    about: ClassVar[str] = "What the assistant adds: chains of its own, and soft labels; may be left out."
    bulky: ClassVar[tuple[str, ...]] = ("chains",)

    samples: int = Field(default=1, ge=0)
    """Chains per training example; 0 leaves the teacher's alone."""
    decoding: Decoding = Decoding(temperature=0.7)
    """How they are drawn."""
    top_k: int = Field(default=64, ge=1)
    """Logits kept per target token; as many as the vocabulary has makes the soft loss exact."""
    temperatures: tuple[float, ...] = Field(default=(2.0,), min_length=1)
    """The temperatures that a student may use."""
    batch_size: int = volatile(16, ge=1)
    """Examples at once."""
    shard: int = volatile(256, ge=1)
    """Examples per file; an interrupted stage continues after the last whole one."""

    def needs(self) -> tuple[Need, ...]:
        """Examples, the teacher's chains and the assistant."""
        return (
            Need("dataset"),
            Need("teacher"),
            Need("assistant", text="asks the assistant, and there is none: add that section, or set annotate: null"),
        )

    def extras(self) -> tuple[str, ...]:
        """The model runs here."""
        return ("train",)

    def run(self, job: Job) -> Json:
        """Samples what is missing, chooses, then stores what is missing."""
        from mulcot.backbones.vlm.example_encoder import ExampleEncoder
        from mulcot.training.items import make_training_items
        from mulcot.training.stopping import memory_advice

        encoder = ExampleEncoder(load_model(job, "assistant"), job.task, job.gallery())
        train, teachers = training_examples(job), chains_of(job, "teacher")
        with memory_advice("annotate", f"Lower annotate.batch_size (now {self.batch_size})."):
            reasons = self._sample(job, encoder, train)
            own = list(read_lines(job.folder / "rationales.jsonl", Rationale))
            if reasons and not own:
                why = ", ".join(f"{name.removeprefix('rejected_')} {number:,}" for name, number in reasons.items())
                job.warn(
                    f"none of the assistant's {self.samples * len(train):,} chains is right and whole ({why}): the "
                    f"student learns from the teacher's {len(teachers):,} alone"
                )
            items = make_training_items(train, [teachers, own], job.task, label_only=True)
            # A student that learns from the teacher's chains alone has label-only items of its own.
            known = {item.key for item in items}
            alone = make_training_items(train, [teachers], job.task, label_only=True)
            items += [item for item in alone if item.key not in known]
            self._store(job, encoder, items)
        return {"sampled": self.samples * len(train), "accepted": len(own), "lessons": len(known), **reasons}

    def _sample(self, job: Job, encoder: ExampleEncoder, train: Sequence[Example]) -> Json:
        """Writes what is missing of chains/, then rationales.jsonl and failures.jsonl out of it."""
        wanted = [(example, number) for example in train for number in range(self.samples)]
        replies: list[str] = []
        with job.reporter.bar("annotate: chains", total=len(wanted), unit="chains") as bar:
            for index, start in enumerate(range(0, len(wanted), self.shard)):
                part = wanted[start : start + self.shard]
                path = job.folder / f"chains/shard-{index:05d}.jsonl"
                found = _kept(path, part)
                if found is None:
                    found = list(self._write(encoder, part, job.seed))
                    write_text(path, "".join(map(_line, part, found)))
                replies += found
                bar.advance(len(part))
        return self._choose(job, wanted, replies)

    def _choose(self, job: Job, wanted: Sequence[tuple[Example, int]], replies: Sequence[str]) -> Json:
        """Writes rationales.jsonl and failures.jsonl; returns the reasons of the failures."""
        reasons: Counter[str] = Counter()
        with (
            atomic(job.folder / "rationales.jsonl") as rationales,
            atomic(job.folder / "failures.jsonl") as failures,
        ):
            for (example, number), reply in zip(wanted, replies, strict=True):
                reading = job.task.read(reply, example)
                if reading.complete and reading.prediction == example.label:
                    own = Rationale(example_id=example.id, source="assistant", stage=1, fields=reading.fields,
                                    prediction=reading.prediction, model="assistant")  # fmt: skip
                    rationales.write(own.to_line().encode("utf-8", "backslashreplace"))
                    continue
                reason = "incomplete" if reading.missing else reading.problem or "wrong_label"
                reasons[reason] += 1
                failed = {"example_id": example.id, "sample": number, "reason": reason, "reply": reply}
                failures.write(json.dumps(failed, ensure_ascii=True).encode() + b"\n")
        return {f"rejected_{reason}": number for reason, number in sorted(reasons.items())}

    def _write(self, encoder: ExampleEncoder, part: Sequence[tuple[Example, int]], seed: int) -> Iterator[str]:
        """What the assistant writes about some examples."""
        from mulcot.backbones.vlm.answer import answers

        decoding = self.decoding.model_copy(update={"seed": self.decoding.seed + seed})
        # Samples depend on the name of what is asked: each of an example's chains has one of its own.
        asked = (
            dataclasses.replace(encoder.question(example, chain=True), id=f"{example.id}/{number}")
            for example, number in part
        )
        for said in answers(encoder.model, asked, decoding, self.batch_size):
            assert said.chain is not None
            yield said.chain.text

    def _store(self, job: Job, encoder: ExampleEncoder, items: Sequence[TrainingItem]) -> None:
        """Writes what is missing of soft_labels/."""
        from mulcot.training.soft_label_store import SoftIndex, SoftLabelWriter

        width = encoder.model.words.known  # heads of one family are padded to different widths beyond the vocabulary
        index = SoftIndex(
            model=weights_hash(job.before["assistant"] / MODEL),
            preprocessing=encoder.model.preprocessing(),
            k=min(self.top_k, width),
            temperatures=self.temperatures,
            width=width,
            rows_per_shard=self.shard,
            rows=len(items),
            keys=fingerprint([[item.key, item.chain] for item in items]),
        )
        soft = job.folder / "soft_labels"
        soft.mkdir(exist_ok=True)
        annotator = SoftLabelWriter(soft, index, encoder, self.batch_size)
        missing = set(annotator.missing())
        with job.reporter.bar("annotate: soft labels", total=len(items), unit="items") as bar:
            for number, start in enumerate(range(0, len(items), self.shard)):
                part = items[start : start + self.shard]
                if number in missing:
                    annotator.write(number, part)
                bar.advance(len(part))


def _line(wanted: tuple[Example, int], reply: str) -> str:
    return json.dumps({"example_id": wanted[0].id, "sample": wanted[1], "reply": reply}) + "\n"


def _kept(path: Path, part: Sequence[tuple[Example, int]]) -> list[str] | None:
    """The replies of a shard; None where it is not there or was cut at other examples, since `shard` was changed."""
    if not path.exists():
        return None
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        found = {(row["example_id"], row["sample"]): str(row["reply"]) for row in rows}
    except (ValueError, KeyError, TypeError):
        raise TrainingError(f"{path} is damaged", hint="Delete it; the same command writes it again.") from None
    keys = [(example.id, number) for example, number in part]
    return list(found.values()) if list(found) == keys else None
