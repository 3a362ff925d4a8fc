"""What every registered backbone must do, whoever wrote it."""

from __future__ import annotations

import pytest
import torch

from mulcot.backbones import Turn, backbones, load_folder
from mulcot.backbones.vlm.packing import hidden_states, pack
from mulcot.objectives import JointObjective
from mulcot.objectives.total_loss import Joint
from mulcot.tasks.base import Prompt


def turns() -> dict[str, Turn]:
    chain = Prompt(system="Be brief.", post="A sunny day.", ask="Explain it.")
    label = Prompt(system="Be brief.", post="A sunny day.", ask="Name the mood.")
    return {"chain": Turn(prompt=chain, target="It is sunny."), "label": Turn(prompt=label, target="positive")}


@pytest.mark.parametrize("name", backbones.names())
def test_a_backbone_trains_saves_and_comes_back_the_same(name, tmp_path, picture) -> None:
    model = backbones.get(name).demo(tmp_path / name).load()
    batch = pack([model.encode("a", [picture()], **turns())], "shared_prefix", model.pad)
    joint = Joint(model.network, JointObjective())
    learning = [parameter for parameter in joint.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=0.01)
    losses = []
    for _ in range(3):
        loss = joint(batch, batch.counts).total
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]

    model.save(tmp_path / f"{name}-trained")
    again = load_folder(tmp_path / f"{name}-trained")
    with model.network.answering(), again.network.answering(), torch.no_grad():
        expected, found = hidden_states(model.network, batch), hidden_states(again.network, batch)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in again.network.parameters())


def test_the_published_family_is_registered() -> None:
    assert "qwen_vl" in backbones.names()
