"""What decides whether a stage is skipped or run again: everything that its result depends on, hashed."""

from __future__ import annotations

from mulcot.records import Json
from mulcot.rundir import FORMAT, RunFolder
from mulcot.settings import fingerprint
from mulcot.stages.base import Job, Stage


def input_hashes(stage: Stage, job: Job, folder: RunFolder) -> Json:
    """What goes in: the earlier stages' files as they are now, and the source files outside the run."""
    inputs: Json = {name: each.content() for name, each in job.before.items()}
    for path, stamp in zip(stage.sources(), folder.stamps(stage.sources()), strict=True):
        inputs[path.name] = fingerprint([inputs.get(path.name), stamp["sha256"]])
    return inputs


def stage_fingerprint(stage: Stage, job: Job, inputs: Json) -> str:
    """A hash of what goes in, of the stage's settings, the task and the seed."""
    return fingerprint(
        {
            "format": FORMAT,
            "stage": stage.name,
            "settings": stage.identity(),
            "task": job.task.identity(),
            "seed": job.seed,
            "inputs": inputs,
        }
    )
