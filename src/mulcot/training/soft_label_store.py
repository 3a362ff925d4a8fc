"""Soft labels on disk: what the assistant thinks of every target token, so that the student never needs it in memory.

    soft_labels/index.json               which model, which preprocessing, k, temperatures, width, rows per shard
    soft_labels/shard-00000.safetensors  ids_TK, logits_TK, lse_RT, classes_EQ of its rows, memory-mapped when read
    soft_labels/shard-00000.json         the rows' keys, token counts and hashes of their token ids; written last

A row whose token ids hash differently, another temperature, another assistant or another tokenizer is refused.

Letters: T target tokens, K stored entries, R temperatures, E examples, Q labels of the label set.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.example_encoder import ExampleEncoder, TrainingItem
from mulcot.backbones.vlm.label_scoring import ABSENT, SLICE, label_scores
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.packing import hidden_states, pack
from mulcot.errors import TrainingError
from mulcot.objectives.soft_targets import TopK, soft_labels
from mulcot.objectives.total_loss import BatchSoftTargets
from mulcot.records import Json, Record
from mulcot.rundir import atomic, write_json
from mulcot.training.items import TrainingItems, ids_hash


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


class SoftLabelWriter:
    """Writes the shards of one index; a shard that is there is not made again."""

    def __init__(self, folder: Path, index: SoftIndex, encoder: ExampleEncoder, batch_size: int) -> None:
        self.folder = folder
        self.index = index
        self.encoder = encoder
        self.batch_size = batch_size

    def missing(self) -> list[int]:
        """The numbers of the shards that are still to be made; those of another index are removed."""
        path = self.folder / "index.json"
        if not path.exists() or _json(path) != json.loads(json.dumps(self.index.to_json())):
            for old in self.folder.glob("shard-*"):
                old.unlink()
            write_json(path, self.index.to_json())
        shards = range(-(-self.index.rows // self.index.rows_per_shard))
        return [number for number in shards if not (self.folder / f"shard-{number:05d}.json").exists()]

    def write(self, number: int, items: Sequence[TrainingItem]) -> None:
        """Makes one shard."""
        rows: list[Json] = []
        parts: dict[str, list[Tensor]] = {}
        for start in range(0, len(items), self.batch_size):
            encoded = [self.encoder.item(item, choices=True) for item in items[start : start + self.batch_size]]
            for name, tensor in self._look(encoded).items():
                parts.setdefault(name, []).append(tensor)
            rows += [
                {"key": example.id, "hash": ids_hash(example), "tokens": sum(len(b.target) for b in example.branches)}
                for example in encoded
            ]
        parts["classes_EQ"] = _equally_wide(parts["classes_EQ"])
        tensors = {name: torch.cat(found, dim=1 if name == "lse_RT" else 0) for name, found in parts.items()}
        path = self.folder / f"shard-{number:05d}.safetensors"
        with atomic(path) as file:
            file.write(save({name: tensor.contiguous() for name, tensor in tensors.items()}))
        write_json(path.with_suffix(".json"), {"rows": rows})

    @torch.inference_mode()
    def _look(self, encoded: list[Encoded]) -> dict[str, Tensor]:
        """One pass: the target tokens of both branches, and the whole label set on the label branch."""
        model, index = self.encoder.model, self.index
        batch = pack(encoded, model.layout, model.pad).to(model.device)
        with model.network.answering():
            hidden_ND = hidden_states(model.network, batch)
            scores_EQ = label_scores(hidden_ND, model.network.head_VD, batch, SLICE)
        hidden_TD = hidden_ND[batch.targets.source_T]
        found = soft_labels(hidden_TD, model.network.head_VD, index.k, index.temperatures, index.width)
        tensors = {
            "ids_TK": found.ids_TK.int(),
            "logits_TK": found.logits_TK,
            "lse_RT": found.lse_RT,
            "classes_EQ": scores_EQ.log_softmax(-1).clamp_min(ABSENT),
        }
        return {name: tensor.cpu() for name, tensor in tensors.items()}


class _StoredPlace(NamedTuple):
    shard: int
    row: int
    start: int
    stop: int
    hash: str


@dataclass
class SoftLabelStore:
    """Stored soft labels, read row by row."""

    folder: Path
    index: SoftIndex
    places: dict[str, _StoredPlace]
    open: dict[int, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> SoftLabelStore:
        """Opens a finished set; refuses one with a hole."""
        try:
            index = SoftIndex.from_json(_json(folder / "index.json"))
            places: dict[str, _StoredPlace] = {}
            for number in range(-(-index.rows // index.rows_per_shard)):
                start = 0
                for row, entry in enumerate(_json(folder / f"shard-{number:05d}.json")["rows"]):
                    stop = start + entry["tokens"]
                    places[entry["key"]] = _StoredPlace(number, row, start, stop, entry["hash"])
                    start = stop
        except (OSError, TypeError, KeyError) as error:
            raise TrainingError(f"{folder} holds no whole soft labels: {error}", hint=remake_hint(folder)) from None
        if len(places) != index.rows:
            raise TrainingError(f"{folder} holds {len(places)} rows of {index.rows}", hint=remake_hint(folder))
        return cls(folder, index, places)

    def check(self, student: LoadedModel, temperature: float, model: str) -> None:
        """Refuses what was stored for another temperature, by another assistant or under another tokenizer."""
        declared = self.index.temperatures
        if temperature not in declared and self.index.k < self.index.width:
            known = ", ".join(f"{value:g}" for value in declared)
            raise TrainingError(
                f"the soft labels were stored for temperature {known}, not {temperature:g}",
                hint=f"A stored tail belongs to one temperature. Add {temperature:g} to annotate.temperatures.",
            )
        if model != self.index.model:
            raise TrainingError(
                f"the assistant has changed since {self.folder} was written",
                hint="Run the stages in order: `mulcot run RECIPE` makes what is out of date again.",
            )
        refuse_other_tokenizer(self.index.preprocessing["tokenizer"], student)

    def soft_targets(self, examples: Sequence[Encoded], temperature: float, device: torch.device) -> BatchSoftTargets:
        """The soft labels of some rows, in the order in which they are packed."""
        parts = [self._row(example, temperature) for example in examples]
        ids_TK, logits_TK, lse_T = (torch.cat([part[i] for part in parts]).to(device) for i in range(3))
        classes_EQ = torch.cat(_equally_wide([part[3] for part in parts])).to(device)
        tokens = TopK(ids_TK.long(), logits_TK, lse_T, temperature, self.index.width)
        return BatchSoftTargets(tokens, classes_EQ)

    def _row(self, example: Encoded, temperature: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        place = self.places.get(example.id)
        if place is None:
            raise TrainingError(f"there are no soft labels for {example.id}", hint=remake_hint(self.folder))
        if place.hash != ids_hash(example):
            raise TrainingError(
                f"{example.id} has other token ids than when its soft labels were stored",
                hint="Student and assistant must see the same prompts, pictures of one size and the same tokens.",
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
            try:
                self.open[number] = safe_open(path, framework="pt")
            except (OSError, SafetensorError) as error:
                raise TrainingError(f"{path} is damaged: {error}", hint=remake_hint(self.folder)) from None
        return self.open[number]


class SoftLabelledItems(TrainingItems):
    """A `Source` for the training loop with stored soft labels."""

    def __init__(
        self,
        encoder: ExampleEncoder,
        items: Sequence[TrainingItem],
        stored: SoftLabelStore,
        temperature: float,
        *,
        choices: bool,
    ) -> None:
        super().__init__(encoder, items, choices=choices)
        self.stored = stored
        self.temperature = temperature

    def soft_targets(self, examples: Sequence[Encoded], device: torch.device) -> BatchSoftTargets:
        """See `Source`."""
        return self.stored.soft_targets(examples, self.temperature, device)


def refuse_other_tokenizer(assistants: str, student: LoadedModel) -> None:
    """Soft labels speak about token ids; they mean nothing under another tokenizer."""
    if assistants != student.preprocessing()["tokenizer"]:
        raise TrainingError(
            "assistant and student have different tokenizers, so their tokens cannot be compared",
            hint="Take a student of the assistant's family, or set `student.soft_labels: none`.",
        )


def remake_hint(folder: Path) -> str:
    """How soft labels are made again."""
    return f"Delete {folder} and {folder.parent / 'stage.json'}, then run the recipe again."


def _json(path: Path) -> Json:
    try:
        value: Json = json.loads(path.read_text("utf-8"))
    except ValueError:
        raise TrainingError(f"{path} is damaged", hint=remake_hint(path.parent)) from None
    return value


def _equally_wide(parts: list[Tensor]) -> list[Tensor]:
    """Label distributions over label sets of different sizes, filled up on the right."""
    widest = max(part.shape[1] for part in parts)
    return [torch.nn.functional.pad(part, (0, widest - part.shape[1]), value=ABSENT) for part in parts]
