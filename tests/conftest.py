"""Fixtures that every room's tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # a busy machine is no failure


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, or a skip that says how to provide it."""
    root = Path(os.environ.get("MULCOT_DATA", ""))
    if not os.environ.get("MULCOT_DATA") or not (root / "twitter2015").is_dir():
        pytest.skip("set MULCOT_DATA to a folder that holds twitter2015/ to run this on real data")
    return root
