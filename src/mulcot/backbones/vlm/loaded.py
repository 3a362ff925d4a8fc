"""A loaded backbone: encodes examples, runs the network, saves and restores what was trained.

A model folder holds `backbone.json` (the settings, with the base model's name), `preprocess.json` (everything that
decides token ids and patches) and the weights as safetensors: the adapter, or the whole model where it was trained.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peft import PeftModel
from PIL import Image

from mulcot.backbones.base import BACKBONE_FILE, Backbone, Turn
from mulcot.backbones.vlm.encoded import Branch, Encoded, Ids, Layout
from mulcot.backbones.vlm.markup import ChatMarkup
from mulcot.backbones.vlm.network import Network
from mulcot.backbones.vlm.picture_patches import Grid, PatchProcessor
from mulcot.backbones.vlm.quiet import quiet
from mulcot.backbones.vlm.safe_tokenizer import SafeTokenizer
from mulcot.errors import MulcotError
from mulcot.rundir import share
from mulcot.tasks.base import Prompt

PREPROCESS_FILE = "preprocess.json"


@dataclass(frozen=True, slots=True)
class Preprocessors:
    """The two halves of the preprocessing."""

    words: SafeTokenizer
    pictures: PatchProcessor


class LoadedModel(ABC):
    """The base class: a family adds how it marks up a conversation and numbers its positions."""

    template: str
    """Name and version of the family's mark-up; a change makes old adapters unusable."""
    branches = True
    """Whether its attention takes a mask over (row, 1, query, key). Otherwise it only gets ordinary causal rows."""
    markup: ChatMarkup | None = None
    """For whole conversations and exported models, where the family has one."""

    def __init__(self, settings: Backbone, network: Network, preprocessors: Preprocessors) -> None:
        self.settings = settings
        self.network = network
        self.words = preprocessors.words
        self.pictures = preprocessors.pictures

    # What a family adds

    @abstractmethod
    def prefix(self, prompt: Prompt, grids: Sequence[Grid]) -> list[int]:
        """The ids of system, pictures and post."""

    @abstractmethod
    def question(self, prompt: Prompt) -> list[int]:
        """The ids of what is asked, up to where the model's turn begins."""

    @abstractmethod
    def answer(self, target: str) -> list[int]:
        """The ids of a target, its end token included."""

    @abstractmethod
    def positions(self, prefix: Sequence[int], grids: Sequence[Grid]) -> npt.NDArray[np.int64]:
        """The rope positions of a prefix, one row per axis."""

    @property
    @abstractmethod
    def stops(self) -> tuple[int, ...]:
        """The tokens that end an answer; the first is the one that training teaches."""

    # What training and inference use

    @property
    def pad(self) -> int:
        """The id that fills a row; no token ever looks at it."""
        return int(self.words.tokenizer.pad_token_id or 0)

    @property
    def layout(self) -> Layout:
        """How rows are laid out, for everyone who makes some: as the settings say, if the model can take it."""
        return self.settings.layout if self.branches else "two_rows"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.device

    def encode(
        self,
        id: str,  # noqa: A002  (the record's own word)
        pictures: Sequence[Image.Image],
        chain: Turn | None = None,
        label: Turn | None = None,
    ) -> Encoded:
        """An example as token ids and patches. Chain and label must have the same system text and post."""
        turns = [turn for turn in (chain, label) if turn is not None]
        if not turns:
            raise ValueError("an example needs a chain or a label turn")
        prompt = turns[0].prompt
        if any((turn.prompt.system, turn.prompt.post) != (prompt.system, prompt.post) for turn in turns):
            raise ValueError(f"example {id}: chain and label prompts differ in their system text or post")
        patches = [self.pictures.patches(picture) for picture in pictures]
        grids = tuple(grid for _, grid in patches)
        prefix = self.prefix(prompt, grids)
        positions_AP = self.positions(prefix, grids)
        return Encoded(
            id=id,
            prefix=tuple(prefix),
            positions_AP=positions_AP,
            next_position=int(positions_AP.max()) + 1,
            chain=self._branch(chain),
            label=self._branch(label),
            pixels_NF=np.concatenate([values for values, _ in patches]) if patches else None,
            grids=grids,
        )

    def target(self, text: str) -> Ids:
        """A target's ids, its end token included; a label is scored as this."""
        return tuple(self.answer(text))

    def text(self, ids: Sequence[int]) -> str:
        """What generated ids say, without control tokens."""
        return self.words.text(ids)

    def preprocessing(self) -> dict[str, Any]:
        """Everything that decides an example's token ids and patches, as plain JSON."""
        return {
            "template": self.template,
            "tokenizer": self.words.fingerprint(),
            "pictures": self.pictures.describe(),
        }

    def save(self, folder: Path, weights: dict[str, torch.Tensor] | None = None) -> None:
        """Writes the trained weights, and beside them the settings and the preprocessing they were trained with.

        `weights` are given where the model's own are spread over several processes.
        """
        folder.mkdir(parents=True, exist_ok=True)
        model: Any = self.network.model
        with quiet():
            model.save_pretrained(folder, state_dict=weights)
        if isinstance(model, PeftModel):
            (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
        else:
            self.words.tokenizer.save_pretrained(folder)
            self.pictures.processor.save_pretrained(folder)
        _write(folder / PREPROCESS_FILE, self.preprocessing())
        _write(folder / BACKBONE_FILE, {"name": self.settings.name, **self.settings.model_dump(mode="json")})
        share(folder)

    def check_preprocessing(self, folder: Path) -> None:
        """Refuses weights that were trained on differently prepared inputs."""
        path = folder / PREPROCESS_FILE
        if not path.is_file():
            raise MulcotError(f"{folder} has no {PREPROCESS_FILE}", hint="Give the folder that training wrote.")
        saved, own = json.loads(path.read_text(encoding="utf-8")), self.preprocessing()
        differing = sorted(key for key in saved.keys() | own.keys() if saved.get(key) != own.get(key))
        if differing:
            shown = "; ".join(f"{key}: trained with {saved.get(key)}, now {own.get(key)}" for key in differing)
            raise MulcotError(
                f"{folder} was trained with another preprocessing: {shown}",
                hint="Use the same base model, image_size and version, or train again.",
            )

    def _branch(self, turn: Turn | None) -> Branch | None:
        if turn is None:
            return None
        if turn.choices and turn.target is not None and turn.target not in turn.choices:
            raise ValueError(f"the target {turn.target!r} is not one of its choices {turn.choices}")
        return Branch(
            prompt=tuple(self.question(turn.prompt)),
            target=() if turn.target is None else self.target(turn.target),
            choices=tuple(self.target(choice) for choice in turn.choices),
        )


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
