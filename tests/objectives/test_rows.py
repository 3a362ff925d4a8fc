from __future__ import annotations

import numpy as np
import pytest
import torch

from mulcot.backbones.vlm.encoded import Branch, Encoded
from mulcot.backbones.vlm.packing import PADDING, mask, pack


def encoded(prefix: int = 2, choices: tuple[tuple[int, ...], ...] = ()) -> Encoded:
    positions_AP = np.tile(np.arange(prefix), (3, 1))
    label = Branch((20,), (21, 22), choices)
    return Encoded("a", tuple(range(prefix)), positions_AP, prefix, Branch((10, 11), (12, 13)), label)


def test_a_row_is_prefix_chain_and_label_with_positions_that_restart() -> None:
    batch = pack([encoded(), encoded(prefix=4)], "shared_prefix", 99)
    assert batch.ids_BS.tolist()[0] == [0, 1, 10, 11, 12, 13, 20, 21, 22, 99, 99]
    assert batch.positions_ABS[2, 0].tolist() == [0, 1, 2, 3, 4, 5, 2, 3, 4, 0, 0]
    assert batch.branch_BS.tolist()[0] == [0, 0, 1, 1, 1, 1, 2, 2, 2, PADDING, PADDING]
    assert batch.targets.token_T.tolist() == [12, 13, 21, 22] * 2
    assert batch.targets.source_T.tolist()[:4] == [3, 4, 6, 7]
    assert batch.targets.source_T.tolist()[4:] == [11 + place for place in (5, 6, 8, 9)]
    assert batch.targets.owner_T.tolist() == [0] * 4 + [1] * 4


def test_the_mask_lets_each_branch_see_the_prefix_and_itself() -> None:
    seen = mask(pack([encoded()], "shared_prefix", 99), "sdpa")[0, 0].int().tolist()
    assert seen == [
        [1, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 1, 0, 0],
        [1, 1, 0, 0, 0, 0, 1, 1, 0],
        [1, 1, 0, 0, 0, 0, 1, 1, 1],
    ]


def test_the_labels_of_a_label_set_are_blind_to_each_other() -> None:
    batch = pack([encoded(choices=((21, 9), (21, 22), (30,)))], "shared_prefix", 99)
    assert batch.ids_BS[0, 6:].tolist() == [20, 21, 9, 21, 22, 30]
    assert batch.positions_ABS[0, 0, 6:].tolist() == [2, 3, 4, 3, 4, 3]
    assert mask(batch, "sdpa")[0, 0, 6:, 6:].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 0, 0, 1, 0, 0],
        [1, 0, 0, 1, 1, 0],
        [1, 0, 0, 0, 0, 1],
    ]
    assert batch.choices.token_T.tolist() == [21, 9, 21, 22, 30]
    assert batch.choices.source_T.tolist() == [6, 7, 6, 9, 6]
    assert batch.choices.kind_T.tolist() == [0, 0, 1, 1, 2]
    assert batch.targets.source_T.tolist()[2:] == [6, 9], "the label to learn is the choice that equals the target"


def test_ordinary_rows_hold_one_path_each() -> None:
    batch = pack([encoded(choices=((21, 22), (30,)))], "two_rows", 99)
    assert batch.ids_BS.tolist() == [[0, 1, 10, 11, 12, 13], [0, 1, 20, 21, 22, 99], [0, 1, 20, 30, 99, 99]]
    assert mask(batch, "sdpa").int().tolist() == [[1] * 6, [1] * 5 + [0], [1] * 4 + [0] * 2]
    assert batch.targets.token_T.tolist() == [12, 13, 21, 22]
    assert batch.counts.examples == 1


@pytest.mark.parametrize("choices", [(), ((21, 9), (21, 22))])
def test_flex_attention_is_given_the_same_rule(choices: tuple[tuple[int, ...], ...]) -> None:
    batch = pack([encoded(choices=choices), encoded(prefix=5)], "shared_prefix", 99)
    rule = mask(batch, "flex").mask_mod
    rows, size = batch.ids_BS.shape
    at = torch.arange
    found = rule(at(rows)[:, None, None], torch.tensor(0), at(size)[:, None], at(size)[None, :])
    assert torch.equal(found, mask(batch, "sdpa")[:, 0])


def test_every_row_of_the_mask_sees_something() -> None:
    batch = pack([encoded(), encoded(prefix=40)], "shared_prefix", 99)
    assert mask(batch, "sdpa").any(-1).all()
