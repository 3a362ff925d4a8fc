"""The models of Multimodal-CoT in one folder that can be moved, served and asked, whatever becomes of the run.

exported/              the model that answers: a T5 of transformers, and what it is asked with
exported/rationale/    the model that explains, where there are two
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mulcot.multimodal_cot.loading import ADAPTER_FILE
from mulcot.multimodal_cot.model import load_fusion
from mulcot.multimodal_cot.model_format import find_pair, load_model_format
from mulcot.multimodal_cot.settings import saved_fusion
from mulcot.predict.model_folders import FITTED_FILES, find_fitted
from mulcot.tasks.saved_task import TASK_FILE, TEMPLATES_FILE

INSIDE = "rationale"
OWN_FILES = (TASK_FILE, TEMPLATES_FILE)
"""How a model is asked, beside `backbone.json` or `fusion.json` and `preprocess.json`."""


def write_pair(source: Path, out: Path, dtype: str | None) -> None:
    """Writes the answering model in `source`, and the one it names, into the folder `out`."""
    model_format, other = find_pair(source)
    _write(source, out, dtype)
    if other is not None:
        _write(other, out / INSIDE, dtype)
        load_model_format(other).save(out / INSIDE)
        model_format = model_format.model_copy(update={"rationale_model": INSIDE})
    copy_fitted(out, source, *([] if other is None else [other]))
    model_format.save(out)


def _write(source: Path, out: Path, dtype: str | None) -> None:
    """One model: as it lies there, or merged with its adapter, or in another precision."""
    out.mkdir(parents=True, exist_ok=True)
    adapted = (source / ADAPTER_FILE).is_file()
    if not adapted and dtype is None:
        for path in source.iterdir():
            if path.is_file():
                shutil.copyfile(path, out / path.name)
        return
    settings, _ = saved_fusion(source)
    model = load_fusion(source, dtype="fp32")  # an adapter is added in fp32, whatever is written then
    network: Any = model.network
    if adapted:
        network.t5 = network.t5.merge_and_unload()
    if dtype == "bf16":
        network.bfloat16()
    model.settings = settings.model_copy(update={"lora": None, "dtype": dtype or settings.dtype})
    model.save(out)
    copy_own(source, out)


def copy_own(source: Path, out: Path) -> None:
    """Takes along how the model is asked."""
    for name in OWN_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)


def copy_fitted(out: Path, source: Path, *others: Path) -> None:
    """Takes along what an evaluation fitted for the model, or for it and the `others` together."""
    for name in FITTED_FILES:
        found = find_fitted(name, source, *others)
        (out / name).unlink(missing_ok=True)  # that of an earlier evaluation
        if found is not None:
            shutil.copyfile(found, out / name)
