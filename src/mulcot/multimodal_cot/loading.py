"""Where a fused T5 comes from: a pretrained T5 with new fusion layers, a saved folder, or the tiny one that ships."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase, T5ForConditionalGeneration

from mulcot.backbones.base import Lora
from mulcot.backbones.vlm.quiet import quiet
from mulcot.errors import MulcotError
from mulcot.features.store import FeatureStore
from mulcot.multimodal_cot.network import Fusion, FusionNetwork
from mulcot.multimodal_cot.settings import TINY, T5Fusion
from mulcot.multimodal_cot.shipped_t5 import shipped_fusion, shipped_t5
from mulcot.records import Json

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
ADAPTER_FILE = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Vision:
    """The features that a model is fused with."""

    width: int
    """Values per patch."""
    extractor_hash: str
    extractor: Json
    """The extractor's settings, so that new pictures can be treated alike."""

    def to_json(self) -> Json:
        """As it is saved."""
        return asdict(self)


def vision_of(features: FeatureStore | None) -> Vision | None:
    """What a new model will be fused with."""
    return None if features is None else Vision(features.width, features.extractor_hash, features.kind.extractor)


def build(
    settings: T5Fusion, folder: Path | None, vision: Vision | None, *, trainable: bool, seed: int
) -> tuple[FusionNetwork, PreTrainedTokenizerBase]:
    """The network and its tokenizer, on the CPU; from `folder` where it was saved there."""
    whole = folder is not None and not (folder / ADAPTER_FILE).is_file()
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(seed)
        if settings.model == TINY and not whole:
            t5, tokenizer = shipped_t5()
        else:
            source = folder if whole and folder is not None else settings.model
            t5, tokenizer = _pretrained(source, settings, trainable)
        fusion = None if vision is None else Fusion(vision.width, t5.config.d_model)
        if fusion is not None and vision is not None and settings.model == TINY:
            fusion.load_state_dict(shipped_fusion(vision.extractor_hash) or fusion.state_dict())
        network = FusionNetwork(_tuned(t5, settings, folder, trainable), fusion, DTYPES[settings.dtype])
    if not trainable:
        network.requires_grad_(False)
    return network.train(trainable), tokenizer


def _pretrained(
    source: str | Path, settings: T5Fusion, trainable: bool
) -> tuple[T5ForConditionalGeneration, PreTrainedTokenizerBase]:
    try:
        config = AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise MulcotError(f"no model at {source}: {error}", hint="Give a model folder or a hub name.") from error
    if config.model_type != "t5":
        hint = "FLAN-Alpaca, FLAN-T5 and UnifiedQA are such models."
        raise MulcotError(f"{source} is a {config.model_type!r} model; this backbone reads 't5'", hint=hint)
    frozen = settings.lora is not None or not trainable
    dtype = DTYPES[settings.dtype] if frozen else torch.float32
    try:
        t5 = T5ForConditionalGeneration.from_pretrained(source, config=config, dtype=dtype, use_safetensors=True)
        return t5, AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, SafetensorError) as error:
        hint = "It needs a tokenizer and weights as safetensors; convert a pickled checkpoint once, where you trust it."
        raise MulcotError(f"the model at {source} cannot be read: {error}", hint=hint) from error


def _tuned(t5: Any, settings: T5Fusion, folder: Path | None, trainable: bool) -> nn.Module:
    if settings.gradient_checkpointing and trainable:
        t5.gradient_checkpointing_enable({"use_reentrant": False})
    if settings.lora is None:
        return t5  # type: ignore[no-any-return]
    if folder is not None:
        return PeftModel.from_pretrained(t5, folder, is_trainable=trainable)
    if not trainable:
        return t5  # type: ignore[no-any-return]
    return _adapted(t5, settings.lora)


def _adapted(t5: Any, lora: Lora) -> nn.Module:
    endings = {path.rpartition(".")[2] for path, module in t5.named_modules() if isinstance(module, nn.Linear)}
    endings.discard("lm_head")
    for module in lora.modules:
        if module not in endings:
            hint = f"Linear layers of this model end in: {', '.join(sorted(endings))}."
            raise MulcotError(f"lora.modules: no linear layer ends in {module!r}", hint=hint)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=list(lora.modules),
        bias="none",
    )
    return get_peft_model(t5, config)
