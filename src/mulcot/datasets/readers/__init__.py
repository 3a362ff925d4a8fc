"""File formats: each reader gives the records of one file, or a rejection for each that it cannot read."""

from mulcot.datasets.readers.table import Raw, Table

__all__ = ["Raw", "Table"]
