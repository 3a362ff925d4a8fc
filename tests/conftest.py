"""Fixtures that every room's tests may use."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import forked

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests share the cores already; threads would wait for each other
gc.disable()  # until everything is imported

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # a busy machine is no failure


def pytest_collection_finish() -> None:
    """What was imported stays, so nobody needs to look through it again and again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left() -> Iterator[None]:
    """The one that tests were forked from ends with them."""
    yield
    forked.close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Tests of one room run in one process, so that what they share is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByRoom(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("::")[0].rpartition("/")[0]

    return ByRoom(config, log)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, or a skip that says how to provide it."""
    root = Path(os.environ.get("MULCOT_DATA", ""))
    if not os.environ.get("MULCOT_DATA") or not (root / "twitter2015").is_dir():
        pytest.skip("set MULCOT_DATA to a folder that holds twitter2015/ to run this on real data")
    return root
