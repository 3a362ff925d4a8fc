"""Ordinary rows give what rows that share their prefix give: losses, labels and chains."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mulcot.backbones import Lora, Turn
from mulcot.backbones.tiny import Tiny
from mulcot.backbones.vlm.answer import ModelAnswer, answers
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.encoded import Encoded, Layout
from mulcot.backbones.vlm.label_scoring import score_labels
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.packing import pack
from mulcot.objectives import JointObjective
from mulcot.objectives.total_loss import Joint
from mulcot.tasks.base import Prompt
from mulcot.world.picture import paint
from mulcot.world.posts import make_post
from ordinary import refuse_branches

SIZES = ("assistant", "student")
LABELS = ("Sentiment: positive", "Sentiment: negative", "Sentiment: neutral", "Sentiment: negative, and much more")
PICTURES = {"none": (0, 0, 0), "one": (1, 1, 1), "two": (2, 2, 2), "uneven": (0, 2, 1, 0, 1)}
DECODING = Decoding(max_tokens=24)


@pytest.fixture(scope="module")
def models() -> Callable[[str, Layout], LoadedModel]:
    """The same weights in each layout, adapters that do something included."""
    made: dict[tuple[str, str], LoadedModel] = {}

    def get(size: str, layout: Layout) -> LoadedModel:
        if (size, layout) not in made:
            torch.manual_seed(0)
            model = Tiny.model_validate({"size": size, "layout": layout, "lora": Lora(dropout=0)}).load()
            for name, parameter in model.network.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(parameter, std=0.02)
            made[size, layout] = model
        return made[size, layout]

    return get


def lessons(model: LoadedModel, pictures: tuple[int, ...]) -> list[Encoded]:
    """Posts and chains of uneven length, with everything that a row can have."""
    return [lesson(model, number, count) for number, count in enumerate(pictures)]


def lesson(model: LoadedModel, number: int, pictures: int) -> Encoded:
    posts = [make_post(0, "test", 7 * number + each) for each in range(3)]
    text = " ".join(post.text for post in posts[: 1 + number % 3])
    system = "You read posts."
    chain = Prompt(system=system, post=text, ask=f"Explain it{' at length' * number}.")
    label = Prompt(system=system, post=text, ask="Name it.")
    return model.encode(
        f"{number}",
        [paint(post.scene, 84) for post in posts[:pictures]],
        Turn(prompt=chain, target="It is fine. " * (1 + number)),
        Turn(prompt=label, target=LABELS[number % 3], choices=LABELS[: 2 + number % 3]),
    )


def losses(model: LoadedModel, examples: list[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss and its gradient."""
    model.network.zero_grad()
    batch = pack(examples, model.layout, model.pad)
    total = Joint(model.network, JointObjective())(batch, batch.counts).total
    total.backward()
    grads = [parameter.grad.flatten() for parameter in model.network.parameters() if parameter.grad is not None]
    return total.detach(), torch.cat(grads)


def asked(model: LoadedModel, examples: list[Encoded], slots: int) -> list[ModelAnswer]:
    return list(answers(model, iter(examples), DECODING, slots))


@pytest.mark.parametrize("pictures", PICTURES.values(), ids=PICTURES)
@pytest.mark.parametrize("size", SIZES)
def test_ordinary_rows_give_the_same(
    models: Callable[[str, Layout], LoadedModel],
    monkeypatch: pytest.MonkeyPatch,
    size: str,
    pictures: tuple[int, ...],
) -> None:
    model = models(size, "shared_prefix")
    examples = lessons(model, pictures)
    expected, expected_grads = losses(model, examples)
    labels, answered = score_labels(model, examples), asked(model, examples, 3)

    passes = refuse_branches(monkeypatch)
    with pytest.raises(AssertionError, match="mask of branches"):
        Joint(model.network, JointObjective())(batch := pack(examples, "shared_prefix", model.pad), batch.counts)
    ordinary = models(size, "two_rows")
    for other in (ordinary, model):  # forced by the settings, and by what the model can take
        assert other.layout == "two_rows"
    found, grads = losses(ordinary, examples)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert (grads - expected_grads).norm() <= 1e-4 * expected_grads.norm()
    torch.testing.assert_close(score_labels(ordinary, examples), labels, rtol=1e-6, atol=1e-4)
    for slots in (2, len(examples)):
        for one, two in zip(asked(ordinary, examples, slots), answered, strict=True):
            assert one.chain == two.chain
            assert one.label_logprobs == pytest.approx(two.label_logprobs, abs=1e-4)
    assert passes


def test_chains_are_real(models: Callable[[str, Layout], LoadedModel]) -> None:
    """Otherwise the comparison above would say little."""
    model = models("student", "two_rows")
    chains = [one.chain for one in asked(model, lessons(model, PICTURES["uneven"]), 5) if one.chain is not None]
    assert len({chain.ids for chain in chains}) > 2
    assert len({len(chain.ids) for chain in chains}) > 2, "the case to be tested: chains of mixed length"
