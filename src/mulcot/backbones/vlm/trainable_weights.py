"""Which weights learn: adapters on chosen module paths, or the weights of a part themselves."""

from __future__ import annotations

import re
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from mulcot.backbones.base import Backbone, Lora
from mulcot.errors import MulcotError

PARTS = {"language": "language_model", "vision": "visual"}
"""Where the two parts lie in the model's module paths."""


def prepare(model: Any, settings: Backbone) -> nn.Module:
    """The model with exactly the chosen weights trainable, all others frozen."""
    model.requires_grad_(False)
    parts = ("language", "vision") if settings.trained == "both" else (settings.trained,)
    if settings.lora is not None:
        return add_adapters(model, settings.lora, parts)
    for name, parameter in model.named_parameters():
        vision = f".{PARTS['vision']}." in f".{name}"
        parameter.requires_grad_(("vision" if vision else "language") in parts)
    return model  # type: ignore[no-any-return]


def add_adapters(model: Any, lora: Lora, parts: tuple[str, ...]) -> nn.Module:
    """New LoRA adapters on every linear layer of `parts` whose path ends in one of `lora.modules`."""
    linear = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    pattern = target_pattern(lora.modules, parts)
    matched = [path for path in linear if re.fullmatch(pattern, path)]
    for ending in lora.modules:
        if not any(path == ending or path.endswith(f".{ending}") for path in matched):
            endings = sorted({path.rpartition(".")[2] for path in linear})
            raise MulcotError(
                f"lora.modules: no linear layer in the {' and '.join(parts)} part ends in {ending!r}",
                hint=f"Linear layers of this model end in: {', '.join(endings)}.",
            )
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=pattern,
        bias="none",
    )
    return get_peft_model(model, config)


def target_pattern(modules: tuple[str, ...], parts: tuple[str, ...]) -> str:
    """One regular expression for the full module paths; it is what adapter_config.json will say."""
    where = "|".join(PARTS[part] for part in parts)
    endings = "|".join(re.escape(module) for module in modules)
    return rf"(.*\.)?({where})\.(.*\.)?({endings})"


def trainable(model: nn.Module) -> list[torch.nn.Parameter]:
    """The weights that learn."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
