"""Runs a recipe; given a stage and seconds, dies by SIGKILL after so much processor time in that stage.

Processor time, not the clock: on a busy machine the same share of a stage is done by then. Prints what each stage took,
without what all forks have imported before they begin.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch

from mulcot import pipeline
from mulcot.progress import Reporter
from mulcot.recipe import load_recipe
from mulcot.stages.base import Job, Stage

sys.path.insert(0, str(Path(__file__).parents[1]))
from forked import import_all

import_all()
torch.set_num_threads(1)
loaded = load_recipe(Path(sys.argv[1]))
stage, seconds = (sys.argv[2], float(sys.argv[3])) if len(sys.argv) > 2 else ("", 0.0)
took: dict[str, float] = {}


def die_at(moment: float) -> None:
    while time.process_time() < moment:
        time.sleep(0.0005)
    os.kill(os.getpid(), signal.SIGKILL)


def watched(plain: Any) -> Any:
    def run(self: Stage, job: Job) -> Any:
        began = time.process_time()
        if self.name == stage:
            threading.Thread(target=die_at, args=(began + seconds,), daemon=True).start()
        counts = plain(self, job)
        took[self.name] = time.process_time() - began
        return counts

    return run


for name in loaded.recipe.plan.stages:
    cls: Any = type(loaded.recipe.stage(name))
    if cls is not type(None):
        cls.run = watched(cls.run)
pipeline.run(loaded, Reporter.silent())
sys.stdout.write(json.dumps(took))
