"""Every plug-in family by the name of its folder, for listings, docs and the contract tests."""

from __future__ import annotations

from typing import Any

from mulcot.backbones.base import backbones
from mulcot.datasets.base import datasets
from mulcot.extractors.base import extractors
from mulcot.registry import Registry
from mulcot.tasks.base import tasks
from mulcot.teacher.base import teachers

FAMILIES: dict[str, Registry[Any]] = {
    "tasks": tasks,
    "datasets": datasets,
    "backbones": backbones,
    "teachers": teachers,
    "extractors": extractors,
}
