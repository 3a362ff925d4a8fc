"""Questions as one batch: padded to the longest, with a mask for everything that is padding.

Letters: B rows, S source tokens, T target tokens, P rows with pictures, N patches, F values of a patch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mulcot.features.store import FeatureStore
from mulcot.multimodal_cot.questions import EncodedQuestion

IGNORED = -100


@dataclass(frozen=True, slots=True, eq=False)
class FusionBatch:
    """What the network is given."""

    ids: tuple[str, ...]
    input_BS: Tensor
    mask_BS: Tensor
    """True at real tokens."""
    target_BT: Tensor | None
    """-100 at padding; None where no row has a target."""
    row_P: Tensor
    """The rows that have pictures."""
    patches_PNF: Tensor | None
    """None where no row has one."""
    there_PN: Tensor
    """True at real patches."""
    target_tokens: int
    """How many target tokens are no padding."""

    def to(self, device: torch.device | str) -> FusionBatch:
        """The same batch elsewhere."""
        moved: dict[str, Any] = {
            field.name: value.to(device, non_blocking=True)
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return dataclasses.replace(self, **moved)


def pack(
    rows: Sequence[EncodedQuestion], pad: int, features: FeatureStore | None, blank_width: int | None = None
) -> FusionBatch:
    """The rows as a batch. With `blank_width`, rows without pictures get a blank patch of that width."""
    lengths = [len(row.input_ids) for row in rows]
    input_BS = torch.full((len(rows), max(lengths)), pad)
    for number, row in enumerate(rows):
        input_BS[number, : lengths[number]] = torch.tensor(row.input_ids)
    mask_BS = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    targets = [row.target_ids for row in rows if row.target_ids is not None]
    if targets and len(targets) < len(rows):
        raise ValueError("either all rows of a batch have a target or none")
    row_P, patches_PNF, there_PN = _patches(rows, features, blank_width)
    return FusionBatch(
        ids=tuple(row.id for row in rows),
        input_BS=input_BS,
        mask_BS=mask_BS,
        target_BT=_padded(targets) if targets else None,
        row_P=row_P,
        patches_PNF=patches_PNF,
        there_PN=there_PN,
        target_tokens=sum(map(len, targets)),
    )


def _padded(targets: Sequence[tuple[int, ...]]) -> Tensor:
    target_BT = torch.full((len(targets), max(map(len, targets))), IGNORED)
    for number, ids in enumerate(targets):
        target_BT[number, : len(ids)] = torch.tensor(ids)
    return target_BT


def _patches(
    rows: Sequence[EncodedQuestion], features: FeatureStore | None, blank_width: int | None
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Rows with pictures, their patches one picture after the other, and which patches are no padding."""
    found: dict[int, np.ndarray] = {}
    for number, row in enumerate(rows):
        if row.pictures and features is not None:
            found[number] = np.concatenate([features.get(key) for key in row.pictures])
        elif blank_width is not None:
            # All blank patches are equal, so attending to one or to 145 of them gives the same.
            found[number] = np.zeros((1, blank_width), dtype=np.float32)
    row_P = torch.tensor(list(found), dtype=torch.long)
    if not found:
        return row_P, None, torch.zeros(0, 0, dtype=torch.bool)
    counts = [len(patches) for patches in found.values()]
    width = next(iter(found.values())).shape[1]
    patches_PNF = np.zeros((len(found), max(counts), width), dtype=np.float32)
    for number, patches in enumerate(found.values()):
        patches_PNF[number, : len(patches)] = patches
    there_PN = torch.arange(max(counts))[None] < torch.tensor(counts)[:, None]
    return row_P, torch.from_numpy(patches_PNF), there_PN
