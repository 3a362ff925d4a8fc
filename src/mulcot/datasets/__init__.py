"""Where examples come from."""

from mulcot.datasets.base import Dataset, Row, datasets, read

__all__ = ["Dataset", "Row", "datasets", "read"]
