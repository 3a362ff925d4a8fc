"""Where examples come from."""

from mulcot.datasets.base import Dataset, Row, datasets
from mulcot.datasets.read_rows import read

__all__ = ["Dataset", "Row", "datasets", "read"]
