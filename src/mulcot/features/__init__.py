"""Features of pictures, extracted once and read from a memory-mapped file. See docs/features.md."""

from mulcot.features.store import DType, FeatureKind, FeatureStore, FeatureWriter

__all__ = ["DType", "FeatureKind", "FeatureStore", "FeatureWriter"]
