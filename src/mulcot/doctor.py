"""`mulcot doctor`: what is installed, and what is installed but broken."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from mulcot.provenance import provenance


def examine() -> Iterator[str]:
    """One line per fact or trouble."""
    facts = provenance()
    yield f"mulcot {facts['mulcot']}  python {facts['python']}  {facts['system']}"
    yield f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB memory"
    for package, found in facts["packages"].items():
        yield f"{package:<14} {found}"
    yield from _torch()
    free = shutil.disk_usage(".").free / 2**30
    yield f"{'disk':<14} {free:.0f} GiB free here" + ("" if free > 5 else "  (little)")


def _torch() -> Iterator[str]:
    if find_spec("torch") is None:
        yield "torch          not installed: dataset, teacher and report work without it"
        yield "               training needs: pip install 'mulcot[train]'"
        return
    import torch

    accelerator = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    yield f"{'accelerator':<14} {accelerator}"
    try:
        installed = version("torchvision")
    except PackageNotFoundError:
        return
    try:
        import torchvision  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except (ImportError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        yield f"torchvision    {installed} is broken beside torch {torch.__version__}: {first}"
        yield f"               transformers will fail too; {sys.executable} -m pip uninstall torchvision"
