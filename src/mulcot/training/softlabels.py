"""Soft labels on disk: what the assistant thinks of every target token, so that the student never needs it in memory.

    soft_labels/index.json               which model, which preprocessing, k, temperatures, width, rows per shard
    soft_labels/shard-00000.safetensors  ids_TK, logits_TK, lse_RT, classes_EQ of its rows, memory-mapped when read
    soft_labels/shard-00000.json         the rows' keys, token counts and hashes of their token ids; written last

A row whose token ids hash differently, another temperature, or another tokenizer is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from mulcot.backbones.runtime.loaded import LoadedModel
from mulcot.encoded import Encoded
from mulcot.errors import TrainingError
from mulcot.inference.labels import SLICE
from mulcot.objectives.distillation import Resident, TopK, soft_labels
from mulcot.objectives.joint import ABSENT, Teaching, hidden_states, label_scores
from mulcot.objectives.rows import Batch, pack
from mulcot.objectives.settings import DistillationObjective
from mulcot.records import Json, Record
from mulcot.rundir import write_json
from mulcot.training.lessons import Desk, Lesson, Lessons, ids_hash

AGAIN = "Run the annotate stage again: `mulcot run RECIPE --from annotate`."


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftIndex(Record):
    """What all shards have in common."""

    model: str
    """The hash of the assistant's weights."""
    preprocessing: Json
    k: int
    temperatures: tuple[float, ...]
    width: int
    """Vocabulary entries that the assistant and every student of its family share."""
    rows_per_shard: int
    rows: int
    keys: str
    """The hash of all rows' keys and chains in order."""


class Annotator:
    """Writes the shards of one index; a shard that is there is not made again."""

    def __init__(self, folder: Path, index: SoftIndex, desk: Desk, batch_size: int) -> None:
        self.folder = folder
        self.index = index
        self.desk = desk
        self.batch_size = batch_size

    def missing(self) -> list[int]:
        """The numbers of the shards that are still to be made; those of another index are removed."""
        path = self.folder / "index.json"
        if not path.exists() or SoftIndex.from_json(json.loads(path.read_text("utf-8"))) != self.index:
            for old in self.folder.glob("shard-*"):
                old.unlink()
            write_json(path, self.index.to_json())
        shards = range(-(-self.index.rows // self.index.rows_per_shard))
        return [number for number in shards if not (self.folder / f"shard-{number:05d}.json").exists()]

    def write(self, number: int, lessons: Sequence[Lesson]) -> None:
        """Makes one shard."""
        rows: list[Json] = []
        parts: dict[str, list[Tensor]] = {"ids_TK": [], "logits_TK": [], "lse_RT": [], "classes_EQ": []}
        for start in range(0, len(lessons), self.batch_size):
            some = lessons[start : start + self.batch_size]
            encoded = [self.desk.lesson(lesson) for lesson in some]
            found = self._look(encoded)
            for name, tensor in found.items():
                parts[name].append(tensor)
            parts["classes_EQ"].append(self._classes(some))
            rows += [
                {"key": example.id, "hash": ids_hash(example), "tokens": sum(len(b.target) for b in example.branches)}
                for example in encoded
            ]
        widest = max(part.shape[1] for part in parts["classes_EQ"])
        parts["classes_EQ"] = [_widened(part, widest) for part in parts["classes_EQ"]]
        tensors = {name: torch.cat(found, dim=1 if name == "lse_RT" else 0) for name, found in parts.items()}
        path = self.folder / f"shard-{number:05d}.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
        write_json(path.with_suffix(".json"), {"rows": rows})

    @torch.inference_mode()
    def _look(self, encoded: list[Encoded]) -> dict[str, Tensor]:
        network = self.desk.model.network
        batch = pack(encoded, "shared_prefix", self.desk.model.pad).to(network.device)
        with network.answering():
            hidden_TD = hidden_states(network, batch)[batch.targets.source_T]
        found = soft_labels(hidden_TD, network.head_VD, self.index.k, self.index.temperatures, self.index.width)
        return {"ids_TK": found.ids_TK.int().cpu(), "logits_TK": found.logits_TK.cpu(), "lse_RT": found.lse_RT.cpu()}

    @torch.inference_mode()
    def _classes(self, lessons: Sequence[Lesson]) -> Tensor:
        """The exact label distribution of every example, as normalised log-probabilities."""
        network = self.desk.model.network
        questions = [self.desk.question(lesson.example, label=True) for lesson in lessons]
        batch = pack(questions, "shared_prefix", self.desk.model.pad).to(network.device)
        with network.answering():
            scores_EQ = label_scores(hidden_states(network, batch), network.head_VD, batch, SLICE)
        return scores_EQ.log_softmax(-1).clamp_min(ABSENT).cpu()


class _Place(NamedTuple):
    shard: int
    row: int
    start: int
    stop: int
    hash: str


@dataclass
class SoftLabels:
    """Stored soft labels, read row by row."""

    folder: Path
    index: SoftIndex
    places: dict[str, _Place]
    open: dict[int, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> SoftLabels:
        """Opens a finished set; refuses one with a hole."""
        try:
            index = SoftIndex.from_json(json.loads((folder / "index.json").read_text("utf-8")))
            index = SoftIndex(**{**_fields(index), "temperatures": tuple(index.temperatures)})
        except (OSError, ValueError, TypeError) as error:
            raise TrainingError(f"{folder} holds no soft labels: {error}", hint=AGAIN) from None
        places: dict[str, _Place] = {}
        for number, path in enumerate(sorted(folder.glob("shard-*.json"))):
            start = 0
            for row, entry in enumerate(json.loads(path.read_text("utf-8"))["rows"]):
                stop = start + entry["tokens"]
                places[entry["key"]] = _Place(number, row, start, stop, entry["hash"])
                start = stop
        if len(places) != index.rows:
            raise TrainingError(f"{folder} holds {len(places)} rows of {index.rows}", hint=AGAIN)
        return cls(folder, index, places)

    def check(self, desk: Desk, temperature: float) -> None:
        """Refuses what was stored for another temperature or under another tokenizer."""
        declared = self.index.temperatures
        if temperature not in declared and self.index.k < self.index.width:
            known = ", ".join(f"{value:g}" for value in declared)
            raise TrainingError(
                f"the soft labels were stored for temperature {known}, not {temperature:g}",
                hint=f"A stored tail belongs to one temperature. Add {temperature:g} to annotate.temperatures.",
            )
        refuse_other_tokenizer(self.index.preprocessing["tokenizer"], desk.model)

    def teaching(self, examples: Sequence[Encoded], temperature: float, device: torch.device) -> Teaching:
        """The soft labels of some rows, in the order in which they are packed."""
        parts = [self._row(example, temperature) for example in examples]
        ids_TK, logits_TK, lse_T = (torch.cat([part[i] for part in parts]).to(device) for i in range(3))
        widest = max(part[3].shape[1] for part in parts)
        classes_EQ = torch.cat([_widened(part[3], widest) for part in parts]).to(device)
        tokens = TopK(ids_TK.long(), logits_TK, lse_T, temperature, self.index.width)
        return Teaching(tokens, classes_EQ)

    def _row(self, example: Encoded, temperature: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        place = self.places.get(example.id)
        if place is None:
            raise TrainingError(f"there are no soft labels for {example.id}", hint=AGAIN)
        if place.hash != ids_hash(example):
            raise TrainingError(
                f"{example.id} has other token ids than when its soft labels were stored",
                hint=f"Prompts, tokenizer and image size must be equal. {AGAIN}",
            )
        shard = self._shard(place.shard)
        rows = slice(place.start, place.stop)
        logits_TK = shard.get_slice("logits_TK")[rows]
        if temperature in self.index.temperatures:
            lse_T = shard.get_slice("lse_RT")[self.index.temperatures.index(temperature), rows]
        else:  # every logit is stored, so any temperature can be had
            lse_T = (logits_TK / temperature).logsumexp(-1)
        classes_EQ = shard.get_slice("classes_EQ")[place.row : place.row + 1]
        return shard.get_slice("ids_TK")[rows], logits_TK, lse_T.reshape(-1), classes_EQ

    def _shard(self, number: int) -> Any:
        if number not in self.open:
            path = self.folder / f"shard-{number:05d}.safetensors"
            self.open[number] = safe_open(path, framework="pt")
        return self.open[number]


class TaughtLessons(Lessons):
    """A `Source` for the training loop with stored soft labels."""

    def __init__(
        self, desk: Desk, lessons: Sequence[Lesson], stored: SoftLabels, objective: DistillationObjective
    ) -> None:
        super().__init__(desk, lessons)
        self.stored = stored
        self.temperature = objective.temperature
        self.choices = objective.classes > 0

    def encoded(self, index: int) -> Encoded:
        """With the label set where the distribution over it is learned too."""
        return self.desk.lesson(self.lessons[index], choices=self.choices)

    def teaching(self, examples: Sequence[Encoded], device: torch.device) -> Teaching:
        """See `Source`."""
        return self.stored.teaching(examples, self.temperature, device)


def resident_teacher(assistant: LoadedModel, student: LoadedModel, temperature: float) -> Callable[[Batch], Teaching]:
    """An assistant in memory that looks at every batch the student looks at."""
    refuse_other_tokenizer(assistant.preprocessing()["tokenizer"], student)
    width, network = min(assistant.words.known, student.words.known), assistant.network

    def teach(batch: Batch) -> Teaching:
        with network.answering(), torch.inference_mode():
            hidden_ND = hidden_states(network, batch)
            classes_EQ = None
            if len(batch.choices.token_T):
                classes_EQ = label_scores(hidden_ND, network.head_VD, batch, SLICE).log_softmax(-1)
        hidden_TD = hidden_ND[batch.targets.source_T].clone()
        return Teaching(Resident(hidden_TD, network.head_VD, temperature, width), classes_EQ)

    return teach


def refuse_other_tokenizer(assistants: str, student: LoadedModel) -> None:
    """Soft labels speak about token ids; they mean nothing under another tokenizer."""
    if assistants != student.preprocessing()["tokenizer"]:
        raise TrainingError(
            "assistant and student have different tokenizers, so their tokens cannot be compared",
            hint="Take a student of the assistant's family, or set `student.soft_labels: none`.",
        )


def _widened(scores_EQ: Tensor, width: int) -> Tensor:
    missing = width - scores_EQ.shape[1]
    return torch.nn.functional.pad(scores_EQ, (0, missing), value=ABSENT) if missing else scores_EQ


def _fields(index: SoftIndex) -> dict[str, Any]:
    return {name: getattr(index, name) for name in index.__dataclass_fields__}
