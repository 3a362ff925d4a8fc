"""Checkpoints: everything a training needs to go on bit for bit, without pickle, never half.

    checkpoints/step-00000120/
        weights.safetensors      the weights that learn, by name
        optimizer.safetensors    the optimizer's tensors, by the same names
        random-0.safetensors     the generator states of each process
        state.json               position, schedule, best, numbers of the optimizer; written last

A checkpoint is written under another name and renamed when all of it is on disk, so one without `state.json` does not
exist. The newest two are kept.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from mulcot.errors import RunError
from mulcot.records import Json
from mulcot.rundir import write_json

FORMAT = 2
KEPT = 2
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
SEPARATOR = "|"
"""Between a weight's name and the name of one of its optimizer tensors."""


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: Json, *, rank: int = 0, barrier: Any = None
) -> None:
    """Writes one checkpoint; every process calls it, the first one writes what all share."""
    wait = barrier or (lambda: None)
    weights = _learning(model)
    moments: Any = get_optimizer_state_dict(model, optimizer, options=_WHOLE)
    target = folder / f"step-{state['step']:08d}"
    part = folder / f".part-{target.name}"
    if rank == 0:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    wait()
    save_file(_random_state(), part / f"random-{rank}.safetensors")
    if rank == 0:
        save_file(_own(weights), part / "weights.safetensors")
        save_file(_own(_flat(moments["state"])), part / "optimizer.safetensors")
        write_json(part / "state.json", {"format": FORMAT, **state, "groups": moments["param_groups"]})
    wait()
    if rank == 0:
        sync_folder(part)
        if target.exists():
            shutil.rmtree(target)
        part.rename(target)
        _sync(folder)
        for old in checkpoints(folder)[:-KEPT]:
            shutil.rmtree(old)
    wait()


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / "state.json").is_file())


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, *, rank: int = 0) -> Json | None:
    """Puts the newest checkpoint in place and returns its state; None where there is none."""
    found = checkpoints(folder)
    if not found:
        return None
    newest = found[-1]
    try:
        state: Json = json.loads((newest / "state.json").read_text("utf-8"))
        weights: dict[str, Any] = load_file(newest / "weights.safetensors")
        moments: Any = _nested(load_file(newest / "optimizer.safetensors"))
    except (OSError, ValueError, SafetensorError) as error:
        hint = "Delete it; training continues from the checkpoint before it, or restarts from the beginning."
        raise RunError(f"the checkpoint {newest} is damaged: {error}", hint=hint) from None
    anew = "Delete the checkpoints folder to restart this stage."
    if state["format"] != FORMAT:
        raise RunError(f"{newest} has format {state['format']}; this version reads {FORMAT}", hint=anew)
    if _names(model) != set(weights):
        raise RunError(f"{newest} holds other weights than this model trains", hint=anew)
    loose = StateDictOptions(full_state_dict=True, strict=False)
    set_model_state_dict(model, weights, options=loose)
    groups = [{**group, "betas": tuple(group["betas"])} for group in state.pop("groups")]  # JSON has no tuples
    set_optimizer_state_dict(model, optimizer, {"state": moments, "param_groups": groups}, options=_WHOLE)
    _restore_random(newest / f"random-{rank}.safetensors")
    return state


def whole_weights(model: nn.Module, *, frozen: bool) -> dict[str, Any]:
    """All weights of a model that may be spread, on the first process; every process calls it."""
    return get_model_state_dict(model, options=dataclasses.replace(_WHOLE, ignore_frozen_params=not frozen))


def _learning(model: nn.Module) -> dict[str, Any]:
    """The weights that learn, on the first process. A frozen head that shares the embedding slips through torch's own
    filter.
    """
    names = _names(model)
    return {name: weight for name, weight in whole_weights(model, frozen=False).items() if name in names}


def _names(model: nn.Module) -> set[str]:
    """The names of the weights that learn, as they are without wrappers."""
    named = model.named_parameters(remove_duplicate=False)
    return {name.removeprefix("module.") for name, weight in named if weight.requires_grad}


def _own(tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """Contiguous copies: safetensors refuses tensors that share memory."""
    return {key: value.detach().clone().contiguous() for key, value in tensors.items() if isinstance(value, Tensor)}


def _flat(moments: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{name}{SEPARATOR}{key}": value for name, own in moments.items() for key, value in own.items()}


def _nested(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    moments: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, kind = key.rpartition(SEPARATOR)
        moments.setdefault(name, {})[kind] = value
    return moments


def _random_state() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _restore_random(path: Path) -> None:
    if not path.is_file():  # continued with more processes than before
        return
    states = load_file(path)
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def sync_folder(folder: Path) -> None:
    """Waits until a folder and its files are on disk."""
    for path in (*folder.iterdir(), folder):
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
