"""A whole small run for tests: synthetic posts, short imported chains, two random models of one family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import yaml

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.pipeline import Outcome, prepare, run
from mulcot.progress import Reporter
from mulcot.recipe import Loaded, load_recipe
from mulcot.rundir import RunFolder
from mulcot.stages.base import Job
from mulcot.world.posts import make_post

FILTERS = {"length": None, "repetition": None, "contradiction": False}
POSTS = {"train": 40, "dev": 8, "test": 2}


def write_chains(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A teacher section that imports these chains."""
    (folder / "chains.json").write_text(json.dumps(rows), "utf-8")
    return {"backend": {"name": "imported", "path": str(folder / "chains.json")}, "filters": FILTERS}


def chain(label: str) -> dict[str, str]:
    fields = ("Text_analysis", "Image_analysis", "Conflict_resolution", "Final_conclusion")
    return {**dict.fromkeys(fields, f"It is {label}."), "Prediction": label}


def write_recipe(folder: Path, *, posts: dict[str, int] | None = None, without_chain: int = 2) -> Path:
    """A recipe whose stages take seconds; the last `without_chain` training posts have no chain."""
    torch.set_num_threads(1)
    posts = posts or POSTS
    made = [make_post(0, "train", number) for number in range(posts["train"])]
    rows = [{"text": post.text, "cot": chain(post.truth.label)} for post in made[: len(made) - without_chain]]
    (folder / "chains.json").write_text(json.dumps(rows), "utf-8")
    QwenVL.demo(folder / "base")
    backbone = {"name": "qwen_vl", "model": str(folder / "base"), "image_size": 56, "dtype": "fp32",
                "lora": {"dropout": 0.0}}  # fmt: skip
    training = {"epochs": 2, "batch_size": 8, "micro_batch": 4, "learning_rate": 3e-3}
    recipe = {
        "version": 1,
        "output": str(folder / "run"),
        "dataset": {"name": "synthetic", **posts},
        "teacher": {"backend": {"name": "imported", "path": str(folder / "chains.json")}, "filters": FILTERS},
        "assistant": {"backbone": backbone, "training": training, "watch": {"train": 8}},
        "annotate": {"decoding": {"temperature": 0.7, "max_tokens": 8}, "top_k": 16, "shard": 16},
        "student": {"backbone": backbone, "training": training, "watch": {"train": 8}},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), "utf-8")
    return path


def go(recipe: Path, *overrides: str, **part: str) -> list[Outcome]:
    return run(load_recipe(recipe, list(overrides)), Reporter.silent(), **part)


def job_of(loaded: Loaded, name: str) -> tuple[Any, Job]:
    """A stage and its job, to be run without the pipeline around it."""
    stage, job = prepare(name, loaded, RunFolder(loaded.folder), Reporter.silent())
    job.folder.path.mkdir(parents=True, exist_ok=True)
    return stage, job
