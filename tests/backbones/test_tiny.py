from __future__ import annotations

import pytest

from mulcot.backbones.tiny import WEIGHTS, Tiny
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.tasks.sentiment import Sentiment

BOUNDS = {"assistant": (4_000_000, 6_000_000), "student": (1_000_000, 2_000_000)}


@pytest.fixture(scope="module")
def student() -> LoadedModel:
    return Tiny().load()


@pytest.mark.parametrize("name", BOUNDS)
def test_a_shipped_model_has_the_size_it_promises(name: str) -> None:
    model = Tiny.model_validate({"size": name, "lora": None}).load(trainable=False)
    low, high = BOUNDS[name]
    assert low <= sum(parameter.numel() for parameter in model.network.parameters()) <= high


def test_both_shipped_models_together_stay_under_sixteen_megabytes() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(BOUNDS)
    assert sum(path.stat().st_size for path in files) < 16_000_000
    assert not any(path.suffix in (".bin", ".pt", ".pkl") for path in files)


def test_loading_needs_no_network_and_takes_adapters(student: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)
    model = Tiny(size="assistant").load()
    assert model.words.fingerprint() == student.words.fingerprint(), "soft labels need one tokenizer for both"
    learning = [name for name, parameter in model.network.named_parameters() if parameter.requires_grad]
    assert learning
    assert all("lora" in name and "visual" not in name for name in learning)


def test_every_label_has_its_own_target(student: LoadedModel) -> None:
    task = Sentiment()
    targets = [student.target(task.write_label(label)) for label in task.labels()]
    assert len(set(targets)) == len(targets)
    assert student.stops[0] == targets[0][-1]
