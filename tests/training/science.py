"""A whole small run of multimodal-cot for tests: drawn questions, a tiny new T5, the tiny tower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml

QUESTIONS = {"train": 24, "dev": 8, "test": 8}


def write_science(folder: Path, **sections: Any) -> Path:
    """A recipe whose stages take seconds; `sections` replace those of the same name, None leaves one out."""
    torch.set_num_threads(1)
    backbone = {"model": "tiny", "dtype": "fp32", "max_source": 128, "max_target": 40}
    training = {"epochs": 1, "batch_size": 8, "micro_batch": 8, "learning_rate": 1e-3, "loaders": 0}
    learning = {"backbone": backbone, "training": training, "watch": {"dev": 4, "train": 4}}
    recipe: dict[str, Any] = {
        "version": 1,
        "method": "multimodal-cot",
        "output": str(folder / "run"),
        "dataset": {"name": "synthetic_science", **QUESTIONS},
        "features": {"extractor": {"name": "tiny"}},
        "rationale": {**learning, "decoding": {"max_tokens": 24}},
        "answer": {**learning},
        "evaluate": {"decoding": {"max_tokens": 24}, "similarity": False},
        **sections,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in recipe.items() if value is not None}), "utf-8")
    return path
