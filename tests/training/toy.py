"""A small training for the tests of the loop: `python toy.py BASE FOLDER [key=value ...]`."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.distributed.tensor import DTensor

from mulcot.backbones.base import Lora, Turn
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.trainable_weights import trainable
from mulcot.errors import Interrupted
from mulcot.objectives.settings import JointObjective
from mulcot.objectives.total_loss import BatchSoftTargets
from mulcot.progress import Reporter
from mulcot.tasks.base import Prompt
from mulcot.training.learner import JointLearner
from mulcot.training.loop import Plan, Result, Score, fit
from mulcot.training.processes import Machine
from mulcot.training.settings import Training

WORDS = ("sun", "rain", "cup", "tree", "song", "cold", "warm")


class Posts:
    """Eleven posts, some without a chain, some without a picture, of different lengths."""

    def __init__(self, model: LoadedModel, number: int = 11) -> None:
        self.model = model
        self.number = number
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.number

    def length(self, index: int) -> int:
        return 10 + index % 4

    def encoded(self, index: int) -> Encoded:
        self.asked.append(index)
        word = WORDS[index % len(WORDS)]
        post = " ".join([word] * (1 + index % 4))
        system = "Read the post."
        chain = Turn(prompt=Prompt(system=system, post=post, ask="Explain."), target=f"I see {post}.")
        label = Turn(prompt=Prompt(system=system, post=post, ask="Label."), target=word)
        pictures = [Image.new("RGB", (60, 60), (index * 20, 0, 100))] if index % 3 else []
        return self.model.encode(str(index), pictures, chain=chain if index % 5 else None, label=label)

    def soft_targets(self, examples: Sequence[Encoded], device: torch.device) -> BatchSoftTargets | None:
        return None


def train(base: Path, folder: Path, evaluate: Any = None, source: Any = None, **settings: Any) -> Result:
    torch.set_num_threads(1)
    torch.manual_seed(5)
    dropout = settings.pop("dropout", 0.05)
    backbone = QwenVL(model=str(base), image_size=56, dtype="fp32", lora=Lora(dropout=dropout))
    model = backbone.load("cpu")
    sharded = settings.get("sharding") == "full"
    machine = Machine.start(sharded=sharded)
    options = {"epochs": 2, "batch_size": 4, "micro_batch": 2, "learning_rate": 1e-2, **settings}
    plan = Plan(
        label="toy",
        learner=JointLearner(model, source(model) if source else Posts(model), JointObjective()),
        settings=Training(**options),
        folder=folder,
        seed=3,
        reporter=Reporter.silent(),
        machine=machine,
        evaluate=evaluate or (lambda machine: Score(0.5, 0.5)),
    )
    result = fit(plan)
    if sharded:
        assert all(isinstance(weight, DTensor) for weight in model.network.parameters()), "nothing was spread"
    elif machine.rank == 0:
        (folder / "weights.txt").write_text(weights_hash(model))
    return result


def weights_hash(model: LoadedModel) -> str:
    digest = hashlib.sha256()
    for parameter in trainable(model.network):
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


def curve(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def main() -> None:
    base, folder = Path(sys.argv[1]), Path(sys.argv[2])
    options = dict(item.split("=") for item in sys.argv[3:])
    fatal = int(options.pop("kill", "-1"))

    def source(model: LoadedModel) -> Posts:
        posts = Posts(model)
        plain = posts.encoded

        def encoded(index: int) -> Encoded:
            if len(posts.asked) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(index)

        posts.encoded = encoded  # type: ignore[method-assign]
        return posts

    try:
        train(base, folder, source=source, **{k: json.loads(v) for k, v in options.items()})
    except Interrupted as error:
        sys.stdout.write(str(error))
        sys.exit(130)


if __name__ == "__main__":
    main()
