"""Runs one stage and dies by SIGKILL when the n-th batch is packed: `killed_fusion.py RECIPE STAGE BATCH OPTIONS`."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from mulcot.multimodal_cot.model import FusionModel
from mulcot.pipeline import run
from mulcot.progress import Reporter
from mulcot.recipe import load_recipe

plain, packed = FusionModel.pack, 0


def pack(self: FusionModel, *arguments: Any) -> Any:
    global packed
    packed += 1
    if packed == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, *arguments)


FusionModel.pack = pack  # type: ignore[method-assign]
torch.set_num_threads(1)
stage = sys.argv[2]
run(load_recipe(Path(sys.argv[1]), sys.argv[4:]), Reporter.silent(), first=stage, last=stage)
