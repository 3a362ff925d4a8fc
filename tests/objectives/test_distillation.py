from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, linear

from mulcot.backbones.vlm.label_scoring import label_scores
from mulcot.backbones.vlm.packing import CHAIN, LABEL, Batch, hidden_states, pack
from mulcot.objectives import DistillationObjective
from mulcot.objectives.soft_targets import InMemoryTeacher, SoftLabels, TopK, divergence, soft_labels
from mulcot.objectives.total_loss import BatchSoftTargets, Joint, Losses

KINDS = ("forward_kl", "reverse_kl", "jsd")


def full_divergence(teacher_TV: Tensor, student_TV: Tensor, temperature: float, kind: str) -> Tensor:
    """Over the whole vocabulary, written out with probabilities."""
    p, q = (teacher_TV / temperature).softmax(-1), (student_TV / temperature).softmax(-1)
    if kind == "forward_kl":
        return kl_div(q.log(), p, reduction="none").sum(-1)
    if kind == "reverse_kl":
        return kl_div(p.log(), q, reduction="none").sum(-1)
    m = (p + q) / 2
    return (kl_div(m.log(), p, reduction="none") + kl_div(m.log(), q, reduction="none")).sum(-1) / 2


def stored(logits_TV: Tensor, k: int, temperature: float, width: int) -> TopK:
    labels = soft_labels(logits_TV, torch.eye(logits_TV.shape[1]), k, [1.0, temperature], width, size=3)
    return TopK(labels.ids_TK, labels.logits_TK, labels.lse_RT[1], temperature, width)


def logits(rows: int = 7, width: int = 40, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return scale * torch.randn(rows, width), (scale * torch.randn(rows, width)).requires_grad_()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_all_logits_stored_are_the_whole_divergence(kind: str, temperature: float) -> None:
    teacher, student = logits()
    expected = full_divergence(teacher, student, temperature, kind)
    found = divergence(*stored(teacher, 40, temperature, 40).compare(student, slice(None)), kind)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    expected_grad = torch.autograd.grad(expected.sum(), student)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), student), expected_grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_teacher_in_memory_says_the_same(kind: str) -> None:
    teacher, student = logits()
    resident = InMemoryTeacher(teacher, torch.eye(40), 2.0, 40)
    found = divergence(*resident.compare(student, slice(None)), kind)
    torch.testing.assert_close(found, full_divergence(teacher, student, 2.0, kind), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_logits_give_a_lower_bound_that_grows_to_the_whole(kind: str) -> None:
    teacher, student = logits()
    whole = full_divergence(teacher, student, 2.0, kind).detach()
    bounds = [divergence(*stored(teacher, k, 2.0, 40).compare(student, slice(None)), kind) for k in (1, 4, 16, 39, 40)]
    for smaller, larger in pairwise(bounds):
        # A tail of one tiny entry is known to fp32's rounding of the sum it is taken from.
        assert (smaller <= larger + 1e-3).all()
    assert (bounds[-1] <= whole + 1e-5).all()
    assert (bounds[0] < 0.9 * whole).any(), "with one entry something must be missing"


def test_the_stored_shares_and_their_tail_add_up_to_one() -> None:
    teacher, student = logits()
    for shares in stored(teacher, 4, 2.0, 40).compare(student, slice(None)):
        torch.testing.assert_close(shares.exp().sum(-1), torch.ones(7))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.01, 30.0, 300.0])
def test_gradients_are_finite_where_the_tail_is_everything_or_nothing(kind: str, scale: float) -> None:
    teacher, student = logits(scale=scale)
    divergence(*stored(teacher, 4, 1.0, 40).compare(student, slice(None)), kind).sum().backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("k", [4, 30])
def test_different_widths_of_a_family_meet_at_the_shared_part(k: int) -> None:
    teacher, student = logits(width=40)
    narrow = student.detach()[:, :34].clone()
    found = divergence(*stored(teacher, k, 2.0, 30).compare(narrow, slice(None)), "forward_kl")
    shared = divergence(*stored(teacher[:, :30], k, 2.0, 30).compare(narrow[:, :30], slice(None)), "forward_kl")
    torch.testing.assert_close(found, shared)
    if k == 30:
        torch.testing.assert_close(found, full_divergence(teacher[:, :30], narrow[:, :30], 2.0, "forward_kl"))


def test_stored_logits_are_the_largest_and_the_sums_belong_to_their_temperature() -> None:
    teacher, _ = logits()
    labels = soft_labels(teacher, torch.eye(40), 5, [1.0, 2.0], 40)
    torch.testing.assert_close(labels.logits_TK, teacher.topk(5).values)
    torch.testing.assert_close(labels.lse_RT, torch.stack([teacher.logsumexp(-1), (teacher / 2).logsumexp(-1)]))


# In the joint objective


def pair(models, example, **sizes: object) -> tuple[Joint, Joint, Batch]:
    teacher_model, student_model = models("qwen2_5_vl", True), models("qwen2_5_vl", False)
    examples = [example(student_model, n, post=2 + n, chain=3 + 2 * n, **sizes) for n in range(2)]
    batch = pack(examples, "shared_prefix", student_model.pad)
    return (
        Joint(teacher_model.network, DistillationObjective()),
        Joint(student_model.network, DistillationObjective()),
        batch,
    )


def teach(teacher: Joint, batch: Batch, k: int = 10**6, temperature: float = 2.0) -> BatchSoftTargets:
    with torch.no_grad():
        hidden_ND = hidden_states(teacher.network, batch)
        head_VD = teacher.network.head_VD
        width = len(head_VD)
        labels = soft_labels(hidden_ND[batch.targets.source_T], head_VD, k, [temperature], width)
        tokens = TopK(labels.ids_TK, labels.logits_TK, labels.lse_RT[0], temperature, width)
        classes = label_scores(hidden_ND, head_VD, batch, 100) if len(batch.choices.kind_T) else None
    return BatchSoftTargets(tokens, classes)


def run(student: Joint, batch: Batch, soft_targets: BatchSoftTargets | None, **options: object) -> Losses:
    student.settings = DistillationObjective(**options)
    return student(batch, batch.counts, soft_targets)


def test_hard_and_soft_losses_are_mixed_as_described(models, example) -> None:
    teacher, student, batch = pair(models, example)
    source, token_T, kind_T = batch.targets.source_T, batch.targets.token_T, batch.targets.kind_T
    logits_of = [
        linear(hidden_states(joint.network, batch)[source], joint.network.head_VD) for joint in (teacher, student)
    ]
    hard_T = cross_entropy(logits_of[1], token_T, reduction="none")
    soft_T = full_divergence(*logits_of, 2.0, "forward_kl")

    def mixed(task: int, square: float, carries: bool = True) -> Tensor:
        hard, soft = hard_T[kind_T == task].mean(), soft_T[kind_T == task].mean()
        return 0.7 * hard + 0.3 * square * soft if carries else hard

    soft_targets = teach(teacher, batch)
    cases = {
        (): 0.8 * mixed(CHAIN, 4) + 0.2 * mixed(LABEL, 4),
        (("square_temperature", False),): 0.8 * mixed(CHAIN, 1) + 0.2 * mixed(LABEL, 1),
        (("soft_tokens", "chain"),): 0.8 * mixed(CHAIN, 4) + 0.2 * mixed(LABEL, 4, False),
        (("soft_tokens", "label"),): 0.8 * mixed(CHAIN, 4, False) + 0.2 * mixed(LABEL, 4),
        (("preset", "published_code"),): mixed(CHAIN, 1) + mixed(LABEL, 1),
    }
    for options, expected in cases.items():
        losses = run(student, batch, soft_targets, head_tokens=5, **dict(options))
        torch.testing.assert_close(losses.total, expected, rtol=1e-4, atol=1e-5)
    losses = run(student, batch, soft_targets)
    torch.testing.assert_close(losses.soft_chain, soft_T[kind_T == CHAIN].sum().detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(losses.chain, hard_T[kind_T == CHAIN].sum().detach())


def test_the_gradient_of_the_mixture_is_that_of_full_logits(models, example) -> None:
    teacher, student, batch = pair(models, example)
    soft_targets, source = teach(teacher, batch), batch.targets.source_T
    parameters = [parameter for parameter in student.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(run(student, batch, soft_targets, head_tokens=4).total, parameters, allow_unused=True)
    with torch.no_grad():
        teacher_TV = linear(hidden_states(teacher.network, batch)[source], teacher.network.head_VD)
    student_TV = linear(hidden_states(student.network, batch)[source], student.network.head_VD)
    loss_T = 0.7 * cross_entropy(student_TV, batch.targets.token_T, reduction="none")
    loss_T = loss_T + 0.3 * 4 * full_divergence(teacher_TV, student_TV, 2.0, "forward_kl")
    chain_T = batch.targets.kind_T == CHAIN
    expected = torch.autograd.grad(0.8 * loss_T[chain_T].mean() + 0.2 * loss_T[~chain_T].mean(), parameters)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm() + 1e-7


def test_without_distillation_the_objective_is_the_joint_one(models, example) -> None:
    _, student, batch = pair(models, example)
    alone = run(student, batch, None, soft=0.0)
    torch.testing.assert_close(
        alone.total, 0.8 * alone.chain / batch.counts.chain + 0.2 * alone.label / batch.counts.label
    )
    with pytest.raises(ValueError, match="exactly where"):
        run(student, batch, None)


def test_a_student_equal_to_its_teacher_has_no_soft_loss(models, example) -> None:
    teacher, _, batch = pair(models, example)
    for k in (3, 10**6):
        losses = run(teacher, batch, teach(teacher, batch, k))
        assert losses.soft_chain.abs() < 1e-4
        assert losses.soft_label.abs() < 1e-4


def test_the_class_distribution_is_distilled_from_exact_label_scores(models, example) -> None:
    teacher, student, batch = pair(models, example, choices=True)
    soft_targets = teach(teacher, batch)
    without, losses = run(student, batch, soft_targets), run(student, batch, soft_targets, classes=0.5)
    scores = label_scores(hidden_states(student.network, batch), student.network.head_VD, batch, 7)
    p, q = (soft_targets.classes_EQ / 2).softmax(-1), (scores / 2).softmax(-1)
    expected = 4 * (p * (p.log() - q.log())).sum()
    torch.testing.assert_close(losses.classes, expected.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(losses.total - without.total, 0.2 * 0.3 * 0.5 * expected / 2, rtol=1e-4, atol=1e-6)
    assert losses.classes > 0
    assert losses.total.requires_grad
    with pytest.raises(ValueError, match="label distribution"):
        run(student, batch, BatchSoftTargets(soft_targets.tokens), classes=0.5)


def test_label_sets_of_different_sizes_fill_up_with_absent_labels(models, example) -> None:
    import dataclasses

    model = models()
    long, short = example(model, 0, choices=True), example(model, 1, choices=True)
    assert short.label is not None
    short = dataclasses.replace(short, label=dataclasses.replace(short.label, choices=short.label.choices[:2]))
    network = model.network
    batch = pack([long, short], "shared_prefix", model.pad)
    scores = label_scores(hidden_states(network, batch), network.head_VD, batch, 100)
    assert scores.softmax(-1)[1, 2] == 0
    kl = divergence(scores.log_softmax(-1), scores.log_softmax(-1), "forward_kl")
    torch.testing.assert_close(kl, torch.zeros(2))


def test_a_label_that_is_certain_is_not_taken_for_an_absent_one(models, example) -> None:
    model = models()
    batch = pack([example(model, 0, choices=True)], "shared_prefix", model.pad)
    # One-hot states and a steep head: every token of every label has probability 1 to the last bit of fp32.
    size = int(batch.choices.token_T.max()) + 1
    hidden_ND = torch.zeros(batch.ids_BS.numel(), size)
    sure = batch.choices.kind_T == 1
    hidden_ND[batch.choices.source_T[sure], batch.choices.token_T[sure]] = 200.0
    scores = label_scores(hidden_ND, torch.eye(size), batch, 100)
    assert scores[0, 1] == 0
    assert scores.argmax() == 1


def test_soft_labels_move_to_a_device() -> None:
    teacher, _ = logits()
    moved = stored(teacher, 4, 2.0, 40).to("meta")
    assert isinstance(moved, TopK)
    assert {moved.ids_TK.device.type, moved.logits_TK.device.type, moved.lse_T.device.type} == {"meta"}
    assert isinstance(soft_labels(teacher, torch.eye(40), 4, [1.0], 40), SoftLabels)
