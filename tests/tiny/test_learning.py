"""How the tiny models begin and learn, and what the shipped ones can do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mulcot.backbones.tiny import WEIGHTS
from mulcot.backbones.vlm.packing import mask, pack
from mulcot.progress import Reporter
from mulcot.tiny.build import build
from mulcot.tiny.evaluate import evaluate_model, judging
from mulcot.tiny.facts import FACTS
from mulcot.tiny.models import fresh, open_model
from mulcot.tiny.pretraining_examples import READING, Mix, lesson
from mulcot.tiny.sizes import Size, TrainingStage
from mulcot.tiny.train_language import FactHeads, train_language

SMALL = Size(
    width=64,
    inner=96,
    layers=2,
    keys=1,
    sight_width=32,
    sight_layers=1,
    seeing=TrainingStage(steps=2, batch=4, rate=1e-3),
    copying=TrainingStage(steps=2, batch=2, rate=1e-3),
    reading=TrainingStage(steps=2, batch=2, rate=1e-3),
)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights that seed 0 gives."""
    return built(tmp_path_factory.mktemp("whole") / "m", 0)


def built(folder: Path, seed: int) -> bytes:
    build(folder, SMALL, seed, Reporter.silent())
    return (folder / "model.safetensors").read_bytes()


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(whole: bytes, tmp_path: Path) -> None:
    assert built(tmp_path / "again", 0) == whole
    assert built(tmp_path / "other", 1) != whole


def test_an_interrupted_build_goes_on_behind_its_last_stage(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mulcot.tiny.build.train_language", stop)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "broken", SMALL, 0, Reporter.silent())
    monkeypatch.setattr("mulcot.tiny.build.train_vision", stop)  # must not be needed again
    assert built(tmp_path / "broken", 0) == whole


def test_a_fresh_model_looks_back_and_copies(tmp_path: Path) -> None:
    """The second layer's first head finds what came after the same token before."""
    torch.manual_seed(0)
    size = Size(**{name: getattr(SMALL, name) for name in Size.__slots__} | {"width": 128, "layers": 4})
    model = fresh(tmp_path / "m", size, 0)
    own = lesson(0, 0, Mix(long={"repeat": 1}, short={"repeat": 1}))
    batch = pack([model.encode("a", [], own.long)], "shared_prefix", model.pad)
    layer = model.network.inner.model.language_model.layers[1].self_attn
    taken: list[torch.Tensor] = []
    layer.v_proj.register_forward_hook(lambda module, given, out: taken.append(out.detach()))
    queries: list[torch.Tensor] = []
    layer.q_proj.register_forward_hook(lambda module, given, out: queries.append(out.detach()))
    keys: list[torch.Tensor] = []
    layer.k_proj.register_forward_hook(lambda module, given, out: keys.append(out.detach()))
    with torch.no_grad():
        model.network(batch.ids_BS, batch.positions_ABS, mask(batch, "sdpa"))
    head = layer.head_dim
    scores_SS = queries[0][0, :, :head] @ keys[0][0, :, :head].T
    ids = batch.ids_BS[0].tolist()
    found = right = 0
    for place, token in enumerate(ids):
        earlier = [n + 1 for n in range(place - 1) if ids[n] == token]
        if earlier and place > 10:
            found += 1
            right += int(scores_SS[place, 1:place].argmax()) + 1 in earlier
    assert found > 5
    assert right / found > 0.5, "guessing finds one in a hundred"


def test_heads_that_ask_for_facts_teach_and_leave(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = fresh(tmp_path / "m", SMALL, 0)
    layers = model.network.inner.model.language_model.layers
    before = layers[0].mlp.up_proj.weight.detach().clone()
    train_language(model, TrainingStage(steps=1, batch=2, rate=1e-3), READING, 0, Reporter.silent())
    assert not torch.equal(before, layers[0].mlp.up_proj.weight)
    assert not any(layer._forward_hooks for layer in layers)
    assert not any("heads" in name for name, _ in model.network.named_parameters())


def test_facts_are_asked_at_both_branches_and_only_there(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = fresh(tmp_path / "m", SMALL, 0)
    language = model.network.inner.model.language_model
    own = lesson(0, 0, READING)
    batch = pack([model.encode("", [], own.long, own.short)], "shared_prefix", model.pad)
    questions = FactHeads(language)
    states_BSD = torch.randn(*batch.ids_BS.shape, language.norm.weight.shape[0], requires_grad=True)
    questions.seen_BSD = states_BSD
    questions.loss([own], batch).backward()
    asked_S = states_BSD.grad[0].abs().sum(-1) > 0
    assert asked_S.sum() == sum(len(branch.prompt) + len(branch.target) for branch in _branches(model, own))
    assert not asked_S[: len(model.encode("", [], own.long).prefix)].any()
    assert set(questions.heads) == set(FACTS)


def _branches(model, own):
    row = model.encode("", [], own.long, own.short)
    return row.chain, row.label


def test_a_short_exam_asks_about_labels_as_a_student_is_asked() -> None:
    right, majority = judging(open_model(WEIGHTS / "student"), 3)
    assert 0 <= right <= 1
    assert majority > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["assistant", "student"])
def test_the_shipped_models_see_and_read_and_know_no_rule(name: str) -> None:
    marks = evaluate_model(open_model(WEIGHTS / name), 200, seed=11)
    assert min(marks.captions[part] for part in ("main", "setting", "colour", "extra")) > 0.9
    assert marks.captions["count"] > 0.75
    assert marks.reading > 0.8
    assert marks.answering > 0.95
    assert marks.labels < marks.majority + 0.1, "they must not know what follows from what"
