"""`mulcot doctor`: what is installed, and what is installed but broken."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from mulcot.errors import MissingExtra
from mulcot.extras import need
from mulcot.provenance import provenance

USES = {
    "train": "training, asking, evaluating and exporting of models",
    "similarity": "similarity of chains",
    "serve": "`mulcot serve`",
}
"""What does not work without an extra."""


def inspect_installation() -> Iterator[str]:
    """One line per fact or trouble."""
    facts = provenance()
    yield f"mulcot {facts['mulcot']}  python {facts['python']}  {facts['system']}"
    yield f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB memory"
    for package, found in facts["packages"].items():
        yield f"{package:<14} {found}"
    yield from _extras()
    yield from _torch()
    free = shutil.disk_usage(".").free / 2**30
    yield f"{'disk':<14} {free:.0f} GiB free here" + ("" if free > 5 else "  (little)")


def _extras() -> Iterator[str]:
    for extra, use in USES.items():
        try:
            need(extra)
        except MissingExtra as error:
            yield f"{extra:<14} {error.message}: no {use}"
            yield f"{'':<14} {error.hint}"


def _torch() -> Iterator[str]:
    try:
        import torch
    except Exception:  # said above
        return
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
