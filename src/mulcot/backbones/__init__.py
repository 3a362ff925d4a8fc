"""Which model family learns and answers. Settings only: torch is imported by `load`, not by this package."""

from mulcot.backbones.base import Backbone, Lora, Turn, backbones, load_folder, saved_backbone

__all__ = ["Backbone", "Lora", "Turn", "backbones", "load_folder", "saved_backbone"]
