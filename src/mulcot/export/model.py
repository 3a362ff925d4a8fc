"""A trained model for other tools: merged into one plain model folder, or as a clean adapter.

    merged     weights with the adapter inside, tokenizer, chat template, image processor and generation settings, as
               transformers, vLLM and SGLang load them
    adapter    a PEFT folder: the adapter and its configuration

The models of Multimodal-CoT are merged likewise, both into one folder (`export.pair`). All carry a model card, and the
files by which `mulcot predict` and `mulcot serve` know how to ask the model.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from mulcot.backbones.base import BACKBONE_FILE, load_folder, saved_backbone
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.loaded import PREPROCESS_FILE, LoadedModel
from mulcot.backbones.vlm.quiet import quiet
from mulcot.backbones.vlm.qwen import DTYPES
from mulcot.errors import MulcotError, UnknownName
from mulcot.export.card import base_name, write_card, write_pair_card
from mulcot.export.pair import copy_fitted, copy_own, write_pair
from mulcot.predict.model_folders import FUSION_FILE, find_model, is_model
from mulcot.rundir import share, write_json, write_text
from mulcot.tasks.saved_task import load_task

KINDS = ("merged", "adapter")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def export_model(model: Path, kind: str, out: Path, *, dtype: str | None = None, force: bool = False) -> None:
    """Writes the model of a run, stage or model folder to the folder `out`, all of it or nothing."""
    if kind not in KINDS:
        raise UnknownName("export", kind, KINDS)
    source, out = find_model(model), out.resolve()
    fused = (source / FUSION_FILE).is_file()
    if fused and kind == "adapter":
        hint = "--to merged writes both models into one folder."
        raise MulcotError("a model of multimodal-cot is more than an adapter: it has a layer that looks", hint=hint)
    _may_replace(out, source, force)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        task = load_task(source).task
        if fused:
            write_pair(source, part, dtype)
            write_pair_card(part, source, task)
        else:
            if kind == "merged":
                _merge(source, part, dtype)
            else:
                _copy_adapter(source, part)
            copy_own(source, part)
            copy_fitted(part, source)
            write_card(part, source, task, kind)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)


def _may_replace(out: Path, source: Path, force: bool) -> None:
    if out == source.resolve() or out in source.resolve().parents:
        raise MulcotError(f"{out} holds the model itself", hint="Choose another folder.")
    if out.exists() and not out.is_dir():
        raise MulcotError(f"{out} is a file", hint="Give a folder.")
    if out.is_dir() and any(out.iterdir()):
        if not force:
            raise MulcotError(f"{out} is not empty", hint="Choose another folder, or add --force to replace it.")
        if not is_model(out):
            raise MulcotError(f"{out} was not written by an export", hint="--force replaces exported models only.")


def _merge(source: Path, out: Path, dtype: str | None) -> None:
    """Adds the adapter to the weights, in fp32 whatever they are written in."""
    kept = dtype or saved_backbone(source).dtype
    loaded = load_folder(source, dtype="fp32")
    network: Any = loaded.network.model
    plain = network.merge_and_unload() if (source / ADAPTER_FILES[0]).is_file() else network
    plain = plain.to(DTYPES[kept])
    plain.generation_config = _generation(loaded)
    tokenizer, processor = loaded.words.tokenizer, loaded.pictures.processor
    if loaded.markup is not None:
        tokenizer.chat_template = loaded.markup.chat_template
    side = loaded.pictures.image_size
    if side is not None:  # square pictures of this side pass unchanged
        processor.size = {"shortest_edge": side * side, "longest_edge": side * side}
    with quiet():
        plain.save_pretrained(out)
    tokenizer.save_pretrained(out)
    processor.save_pretrained(out)
    share(out)
    _name_processor(out, plain.config.model_type)
    write_json(out / PREPROCESS_FILE, loaded.preprocessing())
    settings = loaded.settings.model_dump(mode="json") | {"lora": None, "dtype": kept}
    write_json(out / BACKBONE_FILE, {"name": loaded.settings.name, **settings})


def _generation(loaded: LoadedModel) -> GenerationConfig:
    return GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        max_new_tokens=Decoding().max_tokens,
        eos_token_id=list(loaded.stops),
        pad_token_id=loaded.pad,
    )


def _name_processor(out: Path, family: str) -> None:
    """Other tools look for the official processor, which is built from the same settings."""
    path = out / "preprocessor_config.json"
    config = json.loads(path.read_text("utf-8"))
    names = {"qwen2_vl": "Qwen2VLProcessor", "qwen2_5_vl": "Qwen2_5_VLProcessor"}
    config["processor_class"] = names.get(family, "Qwen3VLProcessor")
    config["image_processor_type"] = str(config["image_processor_type"]).removesuffix("Pil")
    write_text(path, json.dumps(config, indent=2, sort_keys=True) + "\n")


def _copy_adapter(source: Path, out: Path) -> None:
    if not (source / ADAPTER_FILES[0]).is_file():
        raise MulcotError(
            f"{source} has no adapter: the whole model was trained", hint="Export it with --to merged instead."
        )
    settings = saved_backbone(source)
    config = json.loads((source / ADAPTER_FILES[0]).read_text("utf-8"))
    config["base_model_name_or_path"] = base_name(settings)
    write_json(out / ADAPTER_FILES[0], config)
    shutil.copyfile(source / ADAPTER_FILES[1], out / ADAPTER_FILES[1])
    for name in (PREPROCESS_FILE, BACKBONE_FILE):
        shutil.copyfile(source / name, out / name)
