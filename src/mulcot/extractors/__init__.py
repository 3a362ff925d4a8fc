"""Who makes picture features. Settings only: torch is imported by `load`, not by this package."""

from mulcot.extractors.base import Extractor, extractors, load_extractor

__all__ = ["Extractor", "extractors", "load_extractor"]
