"""The shared-prefix row against the slow and obvious way: two separate rows, the model's own forward, full logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from mulcot.backbones.vlm.encoded import Branch, Encoded
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.packing import CHAIN, LABEL, Counts, hidden_states, pack
from mulcot.objectives import JointObjective
from mulcot.objectives.total_loss import Joint, Losses

Grads = dict[str, Tensor]
TASKS = ("chain", "label")

sizes = st.fixed_dictionaries(
    {
        "post": st.integers(1, 12),
        "picture": st.none() | st.tuples(st.integers(30, 120), st.integers(30, 120)),
        "chain": st.none() | st.integers(0, 14),
        "label": st.sampled_from([None, "positive", "negative", "a much longer label"]),
    }
).filter(lambda drawn: drawn["chain"] is not None or drawn["label"] is not None)


def row_loss(model: LoadedModel, encoded: Encoded, branch: Branch) -> Tensor:
    """The summed loss of one ordinary row, exactly as the model itself computes it."""
    inner = model.network.inner
    ids = torch.tensor([[*encoded.prefix, *branch.prompt, *branch.target]])
    labels = ids.clone()
    labels[:, : len(encoded.prefix) + len(branch.prompt)] = -100
    pictures = {}
    if encoded.grids:
        pictures = {
            "pixel_values": torch.tensor(encoded.pixels_NF),
            "image_grid_thw": torch.tensor(encoded.grids),
            "mm_token_type_ids": (ids == inner.config.image_token_id).int(),
        }
    logits = inner(input_ids=ids, **pictures).logits
    return cross_entropy(logits[0, :-1], labels[0, 1:], ignore_index=-100, reduction="sum")


def reference(model: LoadedModel, examples: Sequence[Encoded], objective: JointObjective) -> tuple[Tensor, Grads]:
    model.network.zero_grad()
    total = torch.zeros(())
    for task, weight in zip(TASKS, (objective.reasoning, objective.label), strict=True):
        present = [(encoded, getattr(encoded, task)) for encoded in examples if getattr(encoded, task) is not None]
        tokens = sum(len(branch.target) for _, branch in present)
        for encoded, branch in present:
            total = total + weight * row_loss(model, encoded, branch) / tokens
    total.backward()
    return total.detach(), gradients(model)


def gradients(model: LoadedModel) -> Grads:
    return {n: p.grad.clone() for n, p in model.network.named_parameters() if p.grad is not None}


def ours(
    model: LoadedModel, examples: Sequence[Encoded], layout: str = "shared_prefix", **options: object
) -> tuple[Losses, Grads]:
    model.network.zero_grad()
    batch = pack(examples, layout, model.pad)
    losses = Joint(model.network, JointObjective(**options))(batch, batch.counts)
    losses.total.backward()
    return losses, gradients(model)


def assert_equal_gradients(found: Grads, expected: Grads, tolerance: float = 1e-4) -> None:
    assert found.keys() == expected.keys()
    largest = max(grad.norm() for grad in expected.values())
    for name, grad in expected.items():
        # A tensor whose gradient is nothing but rounding has no norm to compare with.
        assert (found[name] - grad).norm() <= tolerance * max(grad.norm(), 1e-4 * largest), name


@pytest.mark.parametrize("full", [False, True], ids=["lora", "full"])
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"])
@given(drawn=st.lists(sizes, min_size=1, max_size=3), head_tokens=st.integers(1, 40))
@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
def test_losses_and_gradients_equal_two_separate_rows(
    models, example, family: str, full: bool, drawn: list[dict[str, object]], head_tokens: int
) -> None:
    model = models(family, full)
    examples = [example(model, number, **size) for number, size in enumerate(drawn)]
    expected, expected_grads = reference(model, examples, JointObjective())
    for layout in ("shared_prefix", "two_rows"):
        losses, grads = ours(model, examples, layout, head_tokens=head_tokens)
        torch.testing.assert_close(losses.total.detach(), expected, rtol=1e-5, atol=1e-6)
        assert_equal_gradients(grads, expected_grads)


def test_the_losses_of_the_tasks_are_reported_apart(models, example) -> None:
    model = models()
    examples = [example(model, number, chain=4 + number) for number in range(2)]
    losses, _ = ours(model, examples)
    chain = sum(row_loss(model, encoded, encoded.chain) for encoded in examples)
    label = sum(row_loss(model, encoded, encoded.label) for encoded in examples)
    torch.testing.assert_close(torch.stack([losses.chain, losses.label]), torch.stack([chain, label]).detach())
    assert not losses.chain.requires_grad
    batch = pack(examples, "shared_prefix", model.pad)
    mean = 0.8 * losses.chain / batch.counts.chain + 0.2 * losses.label / batch.counts.label
    torch.testing.assert_close(losses.total.detach(), mean)


def test_a_token_is_predicted_from_the_one_before_it() -> None:
    """The network is replaced by one whose hidden state says which token it stands on: the loss is then known."""

    class Echo(torch.nn.Module):
        attention = "sdpa"
        head_VD = 10.0 * torch.eye(8)

        def forward(self, ids: Tensor, *_: object, causal_prefix: int) -> Tensor:
            successor = (ids + 1) % 8
            return torch.nn.functional.one_hot(successor, 8).float()

    def encoded(chain: tuple[int, ...], label: tuple[int, ...]) -> Encoded:
        positions = torch.zeros(1, 2, dtype=torch.long).numpy()
        return Encoded("a", (0, 1), positions, 2, Branch((2, 3), chain), Branch((4, 5), label))

    joint = Joint(Echo(), JointObjective())
    right = pack([encoded((4, 5, 6), (6, 7))], "shared_prefix", 0)
    assert joint(right, right.counts).total < 1e-3
    for chain, label in [((3, 5, 6), (6, 7)), ((4, 6, 7), (6, 7)), ((4, 5, 6), (5, 7)), ((4, 5, 6), (7, 0))]:
        wrong = pack([encoded(chain, label)], "shared_prefix", 0)
        assert joint(wrong, wrong.counts).total > 0.5


def test_the_label_is_blind_to_the_chain_and_the_prefix_to_both(models, example) -> None:
    model = models()
    states = []
    for words in (3, 9):
        encoded = example(model, 0, chain=words)
        batch = pack([encoded], "shared_prefix", model.pad)
        hidden_ND = hidden_states(model.network, batch)
        label = batch.targets.source_T[batch.targets.kind_T == LABEL]
        states.append(torch.cat([hidden_ND[: len(encoded.prefix)], hidden_ND[label]]))
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=1e-5)


def test_padding_changes_nothing(models, example) -> None:
    model = models()
    short, long = example(model, 0, post=1, chain=1), example(model, 1, post=12, chain=14, picture=(120, 120))
    alone, _ = ours(model, [short])
    both, _ = ours(model, [short, long])
    rest, _ = ours(model, [long])
    torch.testing.assert_close(both.chain, alone.chain + rest.chain)
    torch.testing.assert_close(both.label, alone.label + rest.label)
    batch = pack([short, long], "shared_prefix", 3)
    other = pack([short, long], "shared_prefix", 5)
    hidden, changed = hidden_states(model.network, batch), hidden_states(model.network, other)
    assert torch.equal(hidden[batch.targets.source_T], changed[other.targets.source_T])


@given(cuts=st.lists(st.booleans(), min_size=4, max_size=4))
@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
def test_how_a_step_is_split_into_batches_changes_nothing(models, example, cuts: list[bool]) -> None:
    model = models()
    examples = [example(model, n, post=1 + 2 * n, chain=(None, 1, 9, 3, 14)[n], label="positive") for n in range(5)]
    whole, expected = ours(model, examples)

    parts: list[list[Encoded]] = [[examples[0]]]
    for encoded, cut in zip(examples[1:], cuts, strict=True):
        if cut:
            parts.append([])
        parts[-1].append(encoded)
    batches = [pack(part, "shared_prefix", model.pad) for part in parts]
    counts = Counts(0, 0, 0, 0)
    for batch in batches:
        counts = counts.plus(batch.counts)
    model.network.zero_grad()
    joint = Joint(model.network, JointObjective())
    total = torch.zeros(())
    for batch in batches:
        loss = joint(batch, counts).total
        loss.backward()
        total += loss.detach()
    torch.testing.assert_close(total, whole.total.detach(), rtol=1e-5, atol=1e-6)
    assert_equal_gradients(gradients(model), expected)


def test_the_mean_of_each_micro_batch_is_what_the_published_code_takes(models, example) -> None:
    model = models()
    examples = [example(model, 0, chain=2), example(model, 1, chain=14)]
    joint = Joint(model.network, JointObjective(preset="published_code"))
    batches = [pack([encoded], "shared_prefix", model.pad) for encoded in examples]
    counts = batches[0].counts.plus(batches[1].counts)
    found = sum(joint(batch, counts).total for batch in batches)
    means = [
        row_loss(model, encoded, branch) / len(branch.target) for encoded in examples for branch in encoded.branches
    ]
    torch.testing.assert_close(found, sum(means) / 2)


def test_gradients_are_finite_in_bf16(models, example, tmp_path) -> None:
    from mulcot.backbones.qwen_vl import QwenVL

    model = QwenVL.demo(tmp_path).model_copy(update={"dtype": "bf16", "gradient_checkpointing": True}).load()
    examples = [
        example(model, 0, picture=(56, 56)),
        example(model, 1, picture=None, post=12),
        example(model, 2, chain=None),
    ]
    losses, grads = ours(model, examples)
    assert losses.total.isfinite()
    assert grads
    assert all(grad.isfinite().all() for grad in grads.values())
    assert any(grad.abs().max() > 0 for grad in grads.values())


def test_checkpointed_gradients_are_the_same(models, example, tmp_path) -> None:
    from mulcot.backbones.qwen_vl import QwenVL

    demo = QwenVL.demo(tmp_path).model_copy(update={"lora": None, "trained": "both"})
    results = []
    for checkpointed in (False, True):
        model = demo.model_copy(update={"gradient_checkpointing": checkpointed}).load()
        results.append(ours(model, [example(model, 0, picture=(56, 56))])[1])
    assert_equal_gradients(results[1], results[0])


def test_counts_are_the_target_tokens(models, example) -> None:
    model = models()
    examples = [example(model, 0), example(model, 1, chain=None), example(model, 2, label=None)]
    batch = pack(examples, "shared_prefix", model.pad)
    chain = sum(len(encoded.chain.target) for encoded in examples if encoded.chain)
    label = sum(len(encoded.label.target) for encoded in examples if encoded.label)
    assert batch.counts == Counts(chain, label, 3, 1)
    assert (batch.targets.kind_T == CHAIN).sum() == chain
    assert pack(examples, "two_rows", model.pad).counts == batch.counts


def test_a_batch_moves_as_a_whole(models, example) -> None:
    model = models()
    batch = pack([example(model, 0, choices=True)], "shared_prefix", model.pad)
    moved = batch.to("meta")
    tensors: list[Callable[[], Tensor]] = [moved.ids_BS, moved.pixels_NF, moved.grids_I3, moved.targets.token_T]
    assert all(tensor.device.type == "meta" for tensor in [*tensors, moved.choices.source_T, moved.choice_BS])
    assert moved.counts == batch.counts
