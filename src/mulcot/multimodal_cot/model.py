"""The fused T5, loaded: encodes questions, packs them, learns, scores, writes, and is saved.

A model folder holds `fusion.json` (settings, patch width, extractor), `preprocess.json` (what decides token ids),
`fusion.safetensors` (the layers between encoder and decoder) and the T5: whole, or as an adapter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.loaded import PREPROCESS_FILE
from mulcot.backbones.vlm.quiet import quiet
from mulcot.errors import MulcotError
from mulcot.features.store import FeatureStore, other_extractor
from mulcot.multimodal_cot.batch import FusionBatch, pack
from mulcot.multimodal_cot.generate_and_score import Vocabulary, WrittenText, score_choices, stream_tokens, write
from mulcot.multimodal_cot.loading import Vision, build, vision_of
from mulcot.multimodal_cot.network import FusionNetwork
from mulcot.multimodal_cot.questions import EncodedQuestion, Ids, T5Question
from mulcot.multimodal_cot.settings import T5Fusion, saved_fusion
from mulcot.multimodal_cot.source_tokenizer import SourceTokenizer, shorten
from mulcot.predict.model_folders import FUSION_FILE
from mulcot.rundir import share, write_json

FUSION_WEIGHTS = "fusion.safetensors"


class FusionModel:
    """A fused T5 and its tokenizer."""

    def __init__(
        self, settings: T5Fusion, network: FusionNetwork, reader: SourceTokenizer, vision: Vision | None
    ) -> None:
        self.settings = settings
        self.network = network
        self.reader = reader
        self.vision = vision
        """What it is fused with; None for a T5 that reads only."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The T5's."""
        return self.reader.tokenizer

    @property
    def pad(self) -> int:
        """The id that fills a row."""
        return int(self.network.inner.config.pad_token_id or 0)

    @property
    def end(self) -> int:
        """The id that ends a text."""
        return int(self.network.inner.config.eos_token_id)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.device

    def encode(self, question: T5Question) -> EncodedQuestion:
        """Token ids within the limits; what had to be shortened is told."""
        ids, places = self.reader.located(question.source)
        source = shorten(ids, places, question.long, self.settings.max_source - 1)
        target = None if question.target is None else self.target(question.target)
        limit = self.settings.max_target
        return EncodedQuestion(
            id=question.id,
            input_ids=(*source, self.end),
            target_ids=None if target is None else target[:limit],
            pictures=question.pictures,
            cut=len(source) < len(ids),
            target_cut=target is not None and len(target) > limit,
        )

    def target(self, text: str) -> Ids:
        """A text to be written, its end token included."""
        return (*self.reader.located(text)[0], self.end)

    def text(self, ids: Sequence[int]) -> str:
        """What written ids say."""
        return self.reader.text(ids).strip()

    def pack(self, rows: Sequence[EncodedQuestion], features: FeatureStore | None) -> FusionBatch:
        """The rows as one batch on the model's device."""
        vision = self.vision
        if vision is None:
            features = None
        elif features is not None:
            self.check_features(features)
        elif any(row.pictures for row in rows):
            raise MulcotError("these questions have pictures, but no features were given for them")
        blank = vision.width if vision is not None and self.settings.published_blank_patches else None
        return pack(rows, self.pad, features, blank).to(self.device)

    def check_features(self, features: FeatureStore) -> None:
        """Refuses features that another extractor made than those the model learned with."""
        if self.vision is not None and features.extractor_hash != self.vision.extractor_hash:
            raise other_extractor(features.folder, features.extractor_hash, self.vision.extractor_hash)

    def loss(self, batch: FusionBatch) -> tuple[Tensor, int]:
        """The summed cross entropy of the target tokens, and how many they are."""
        return self.network(batch), batch.target_tokens

    def score(self, batch: FusionBatch, choices: Sequence[Sequence[str]]) -> list[tuple[float, ...]]:
        """The log-probability of every choice of every row, written out in full, end token included."""
        ids = [[self.target(choice) for choice in row] for row in choices]
        with self._answering():
            return [tuple(row) for row in score_choices(self.network, batch, ids)]

    def generate(self, batch: FusionBatch, decoding: Decoding, keys: Sequence[str] | None = None) -> list[WrittenText]:
        """One text per row. `keys` decide what is sampled, by default the rows' ids."""
        with self._answering():
            written = write(self.network, batch, decoding, self._vocabulary(), batch.ids if keys is None else keys)
        return [WrittenText(self.text(ids), tuple(ids), complete) for ids, complete in written]

    def stream_tokens(self, batch: FusionBatch, decoding: Decoding) -> Iterator[tuple[int, int | None]]:
        """`generate`, token by token: (row, token), None at its end. For a network that is not in training mode."""
        return stream_tokens(self.network, batch, decoding, self._vocabulary(), batch.ids)

    def preprocessing(self) -> dict[str, Any]:
        """Everything that decides token ids, as plain JSON."""
        return {"tokenizer": self.reader.fingerprint(), "max_source": self.settings.max_source}

    def save(self, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
        """Writes the trained weights and what they were trained with.

        `weights` are the network's by name, given where its own are spread over several processes.
        """
        folder.mkdir(parents=True, exist_ok=True)
        weights = self.network.state_dict() if weights is None else weights
        t5: Any = self.network.t5
        with quiet():
            t5.save_pretrained(folder, state_dict=_part(weights, "t5."))
        if isinstance(t5, PeftModel):
            (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
        self.tokenizer.save_pretrained(folder)
        if self.vision is not None:
            save_file(_part(weights, "fusion."), folder / FUSION_WEIGHTS)
        write_json(folder / PREPROCESS_FILE, self.preprocessing())
        vision = None if self.vision is None else self.vision.to_json()
        write_json(folder / FUSION_FILE, {"settings": self.settings.model_dump(mode="json"), "vision": vision})
        share(folder)

    def _vocabulary(self) -> Vocabulary:
        config = self.network.inner.config
        start: int = config.decoder_start_token_id
        # The unknown token stands in targets for what the vocabulary lacks, so it is learned; decoding drops it.
        # Byte-level tokenizers know every character, and some give the name to their padding.
        written = {self.end, self.tokenizer.unk_token_id} - {self.pad, start}
        banned = tuple(token for token in self.reader.controls if token not in written)
        return Vocabulary(start, self.end, banned, min(self.reader.known, config.vocab_size))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """No dropout until the block ends."""
        was_training = self.network.training
        self.network.eval()
        try:
            yield
        finally:
            self.network.train(was_training)


def load_fusion(
    source: T5Fusion | Path,
    device: str = "cpu",
    *,
    trainable: bool = False,
    features: FeatureStore | None = None,
    seed: int = 0,
    **changes: Any,
) -> FusionModel:
    """A new model from settings, fused with `features` where there are some, or the one saved in a folder.

    New weights come from `seed`. `changes` replace some of a saved model's settings.
    """
    if isinstance(source, T5Fusion):
        settings, vision, folder = source.model_copy(update=changes), vision_of(features), None
    else:
        settings, saved = saved_fusion(source, **changes)
        vision, folder = None if saved is None else Vision(**saved), source
    network, tokenizer = build(settings, folder, vision, trainable=trainable, seed=seed)
    model = FusionModel(settings, network, SourceTokenizer(tokenizer), vision)
    if folder is not None:
        _restore(model, folder)
        if features is not None:
            model.check_features(features)
    network.to(device)
    return model


def _restore(model: FusionModel, folder: Path) -> None:
    try:
        if model.network.fusion is not None:
            model.network.fusion.load_state_dict(load_file(folder / FUSION_WEIGHTS))
        known = json.loads((folder / PREPROCESS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        hint = "Give the folder that training wrote."
        raise MulcotError(f"{folder} holds no whole fused T5: {error}", hint=hint) from error
    if known.get("tokenizer") != model.preprocessing()["tokenizer"]:
        raise MulcotError(
            f"{folder} was trained with another tokenizer than {model.settings.model} has",
            hint="Use the same base model and version, or train again.",
        )


def _part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
