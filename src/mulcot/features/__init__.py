"""Features of pictures, extracted once and read from a memory-mapped file. See docs/features.md."""

from mulcot.features.store import DType, FeatureStore, FeatureWriter, Kind

__all__ = ["DType", "FeatureStore", "FeatureWriter", "Kind"]
