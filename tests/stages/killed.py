"""Runs a recipe and dies by SIGKILL when the given lesson of its last stage is asked for: `killed.py RECIPE LESSON`."""

import os
import signal
import sys
from pathlib import Path

import torch

from mulcot.backbones.vlm.encoded import Encoded
from mulcot.pipeline import run
from mulcot.progress import Reporter
from mulcot.recipe import load_recipe
from mulcot.training.soft_label_store import SoftLabelledItems

plain, asked = SoftLabelledItems.encoded, 0


def encoded(self: SoftLabelledItems, index: int) -> Encoded:
    global asked
    asked += 1
    if asked == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, index)


SoftLabelledItems.encoded = encoded  # type: ignore[method-assign]
torch.set_num_threads(1)
run(load_recipe(Path(sys.argv[1]), sys.argv[3:]), Reporter.silent(), first="student")
