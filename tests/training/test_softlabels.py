"""Soft labels on a trained pair of tiny models: exactness, and everything that must be refused."""

from __future__ import annotations

import dataclasses
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from small import chain
from toy import train

from mulcot.backbones.base import load_folder
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.example_encoder import ExampleEncoder, TrainingItem
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.packing import pack
from mulcot.backbones.vlm.picture_patches import PatchProcessor
from mulcot.backbones.vlm.random_model import train_tokenizer
from mulcot.backbones.vlm.safe_tokenizer import SafeTokenizer
from mulcot.backbones.vlm.trainable_weights import trainable
from mulcot.errors import TrainingError
from mulcot.objectives.settings import DistillationObjective
from mulcot.objectives.total_loss import BatchSoftTargets, Joint, Losses
from mulcot.records import Example, ImageRef, Rationale
from mulcot.tasks.sentiment import Sentiment
from mulcot.training.in_memory_teacher import in_memory_teacher
from mulcot.training.items import make_training_items
from mulcot.training.loop import Score
from mulcot.training.soft_label_store import SoftIndex, SoftLabelledItems, SoftLabelStore, SoftLabelWriter

CPU = torch.device("cpu")
LABELS = ("positive", "neutral", "negative")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of an assistant and a student, trained differently from one base."""
    base = tmp_path_factory.mktemp("base")
    QwenVL.demo(base)
    folders = [tmp_path_factory.mktemp(name) for name in ("assistant", "student")]
    looks = count()

    def later_is_better(machine: object) -> Score:
        return Score(float(next(looks)), 0.0)

    long = train(base, folders[0], later_is_better, epochs=12)
    short = train(base, folders[1], later_is_better, epochs=2, learning_rate=3e-3)
    return long.best_folder, short.best_folder


class Album:
    def open(self, ref: ImageRef) -> Image.Image:
        return Image.new("RGB", (60, 60), (40 * len(ref.path), 10, 200))


def encoder(model: LoadedModel) -> ExampleEncoder:
    album: Any = Album()
    return ExampleEncoder(model, Sentiment(), album)


def some_lessons() -> list[TrainingItem]:
    posts = [
        Example(id=f"e{n}", split="train", text="sun " * n, images=(ImageRef(path="p" * n),) if n % 2 else (),
                label=LABELS[n % 3])
        for n in range(5)
    ]  # fmt: skip
    chains = [
        Rationale(example_id=post.id, source="teacher", stage=1, fields=chain(post.label or ""), prediction=post.label)
        for post in posts[1:]
    ]
    return make_training_items(posts, [chains], Sentiment(), label_only=True)


def index_of(loaded: LoadedModel, k: int, rows: int, **changes: Any) -> SoftIndex:
    width = loaded.words.known
    settings = {"temperatures": (1.0, 2.0), "rows_per_shard": 2, "model": "m", "keys": "keys", **changes}
    return SoftIndex(preprocessing=loaded.preprocessing(), k=min(k, width), width=width, rows=rows, **settings)


def store(folder: Path, model: LoadedModel, items: list[TrainingItem], k: int) -> SoftLabelStore:
    folder.mkdir(exist_ok=True)
    annotator = SoftLabelWriter(folder, index_of(model, k, len(items)), encoder(model), batch_size=2)
    for number in annotator.missing():
        annotator.write(number, items[2 * number : 2 * number + 2])
    return SoftLabelStore.read(folder)


def losses(
    student: LoadedModel, examples: list[Encoded], soft_targets: BatchSoftTargets, **settings: Any
) -> tuple[Losses, torch.Tensor]:
    """The losses and the gradient as one vector."""
    student.network.eval()
    student.network.zero_grad(set_to_none=True)
    batch = pack(examples, "shared_prefix", student.pad)
    objective = DistillationObjective(soft=1.0, **settings)
    found = Joint(student.network, objective)(batch, batch.counts, soft_targets)
    found.total.backward()
    grads = [p.grad.flatten() for p in trainable(student.network) if p.grad is not None]
    return dataclasses.replace(found, total=found.total.detach()), torch.cat(grads)


def examples_of(student: LoadedModel, items: list[TrainingItem], *, choices: bool = False) -> list[Encoded]:
    return [encoder(student).item(item, choices=choices) for item in items]


def test_the_error_of_top_k_shrinks_with_k_and_is_none_at_the_whole_vocabulary(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    assistant, student = load_folder(pair[0]), load_folder(pair[1], trainable=True)
    items = some_lessons()
    examples = examples_of(student, items)
    teach = in_memory_teacher(assistant, student, 2.0)
    exact, exact_grad = losses(student, examples, teach(examples, CPU))
    errors, cosines = [], []
    for k in (8, 32, 128, 10_000):
        stored = store(tmp_path / str(k), assistant, items, k)
        found, grad = losses(student, examples, stored.soft_targets(examples, 2.0, CPU))
        errors.append(abs(float(found.total / exact.total) - 1))
        cosines.append(float(torch.cosine_similarity(grad, exact_grad, dim=0)))
        assert float(found.total) <= float(exact.total) * (1 + 1e-6), "collapsing entries can only hide differences"
    assert errors == sorted(errors, reverse=True)
    assert cosines == sorted(cosines)
    assert errors[0] > 1e-3, "the pair must differ, or nothing was tested"
    assert errors[-1] < 1e-5
    assert cosines[-1] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("settings", [{"classes": 1.0}, {"divergence": "jsd"}, {"soft_tokens": "label"}])
def test_stored_and_resident_give_the_same_losses_at_the_whole_vocabulary(
    pair: tuple[Path, Path], tmp_path: Path, settings: dict[str, Any]
) -> None:
    assistant, student = load_folder(pair[0]), load_folder(pair[1], trainable=True)
    items = some_lessons()
    examples = examples_of(student, items, choices="classes" in settings)
    stored = store(tmp_path, assistant, items, 10_000)
    one, one_grad = losses(student, examples, stored.soft_targets(examples, 2.0, CPU), **settings)
    teach = in_memory_teacher(assistant, student, 2.0)
    two, two_grad = losses(student, examples, teach(examples, CPU), **settings)
    for name in ("total", "soft_chain", "soft_label", "classes"):
        assert float(getattr(one, name)) == pytest.approx(float(getattr(two, name)), rel=1e-4, abs=1e-6), name
    assert float((one_grad - two_grad).norm() / two_grad.norm()) < 1e-4
    assert ("classes" in settings) == (float(one.classes) > 0)


def test_another_temperature_is_refused_unless_everything_was_stored(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assistant, student = load_folder(pair[0]), load_folder(pair[1], trainable=True)
    items = some_lessons()
    some = store(tmp_path / "some", assistant, items, 16)
    some.check(student, 1.0, "m")
    with pytest.raises(TrainingError, match="temperature 1, 2, not 4"):
        some.check(student, 4.0, "m")
    whole = store(tmp_path / "whole", assistant, items, 10_000)
    whole.check(student, 4.0, "m")
    examples = examples_of(student, items)
    one, _ = losses(student, examples, whole.soft_targets(examples, 4.0, CPU), temperature=4.0)
    soft_targets = in_memory_teacher(assistant, student, 4.0)(examples, CPU)
    two, _ = losses(student, examples, soft_targets, temperature=4.0)
    assert float(one.total) == pytest.approx(float(two.total), rel=1e-5)


@pytest.mark.parametrize("choices", [False, True])
def test_an_assistant_that_reads_ordinary_rows_says_the_same(
    pair: tuple[Path, Path], tmp_path: Path, choices: bool
) -> None:
    assistant, student = load_folder(pair[0]), load_folder(pair[1], trainable=True)
    ordinary, items = load_folder(pair[0], layout="two_rows"), some_lessons()
    examples = examples_of(student, items, choices=choices)
    settings = {"classes": float(choices)}
    expected, _ = losses(student, examples, in_memory_teacher(assistant, student, 2.0)(examples, CPU), **settings)
    stored = store(tmp_path, ordinary, items, 10_000).soft_targets(examples, 2.0, CPU)
    for soft_targets in (in_memory_teacher(ordinary, student, 2.0)(examples, CPU), stored):
        found, _ = losses(student, examples, soft_targets, **settings)
        assert float(found.total) == pytest.approx(float(expected.total), rel=1e-5)


def test_rows_come_in_the_order_they_are_packed(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assistant = load_folder(pair[0])
    items = some_lessons()
    stored = store(tmp_path, assistant, items, 8)
    source = SoftLabelledItems(encoder(assistant), items, stored, 2.0, choices=False)
    examples = [source.encoded(index) for index in (3, 0, 4)]
    tokens = source.soft_targets(examples, CPU).tokens
    apart = [source.soft_targets([example], CPU).tokens for example in examples]
    assert torch.equal(tokens.ids_TK, torch.cat([part.ids_TK for part in apart]))  # type: ignore[attr-defined]
    assert torch.equal(tokens.lse_T, torch.cat([part.lse_T for part in apart]))  # type: ignore[attr-defined]
    targets = [sum(len(branch.target) for branch in example.branches) for example in examples]
    assert [len(part.lse_T) for part in apart] == targets  # type: ignore[attr-defined]


def test_a_row_with_other_token_ids_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assistant = load_folder(pair[0])
    items = some_lessons()
    stored = store(tmp_path, assistant, items, 8)
    example = encoder(assistant).item(items[1])
    stored.soft_targets([example], 2.0, CPU)
    other = dataclasses.replace(example, prefix=(*example.prefix[:-1], example.prefix[-1] + 1))
    with pytest.raises(TrainingError, match="other token ids"):
        stored.soft_targets([other], 2.0, CPU)
    with pytest.raises(TrainingError, match="no soft labels for"):
        stored.soft_targets([dataclasses.replace(example, id="unknown")], 2.0, CPU)


def test_another_tokenizer_and_another_assistant_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assistant, student = load_folder(pair[0]), load_folder(pair[1])
    stored = store(tmp_path, assistant, some_lessons(), 8)
    with pytest.raises(TrainingError, match="assistant has changed"):
        stored.check(student, 2.0, "another")
    student.words = SafeTokenizer(train_tokenizer(["other words altogether"], 300))
    with pytest.raises(TrainingError, match="different tokenizers"):
        stored.check(student, 2.0, "m")
    with pytest.raises(TrainingError, match="different tokenizers"):
        in_memory_teacher(assistant, student, 2.0)


def test_a_resident_assistant_with_other_pictures_is_refused(pair: tuple[Path, Path]) -> None:
    assistant, student = load_folder(pair[0]), load_folder(pair[1])
    student.pictures = PatchProcessor(student.pictures.processor, 28)
    with pytest.raises(TrainingError, match="differently \\(pictures\\)"):
        in_memory_teacher(assistant, student, 2.0)


def test_heads_padded_beyond_the_vocabulary_are_sliced(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """As 152 064 and 151 936 rows in one family: what has no token is no share of any distribution."""
    assistant, student = load_folder(pair[0]), load_folder(pair[1], trainable=True)
    items = some_lessons()
    examples = examples_of(student, items)
    plain, plain_grad = losses(
        student, examples, store(tmp_path / "a", assistant, items, 16).soft_targets(examples, 2.0, CPU)
    )
    widen(assistant, 40)
    stored = store(tmp_path / "b", assistant, items, 16)
    found, grad = losses(student, examples, stored.soft_targets(examples, 2.0, CPU))
    assert float(found.total) == pytest.approx(float(plain.total), rel=1e-5)
    assert float((grad - plain_grad).norm() / plain_grad.norm()) < 1e-4
    widen(student, 8)
    teach = in_memory_teacher(assistant, student, 2.0)
    exact, _ = losses(student, examples, teach(examples, CPU), soft_tokens="chain")
    again, _ = losses(student, examples, stored.soft_targets(examples, 2.0, CPU), soft_tokens="chain")
    assert float(exact.soft_chain) >= float(again.soft_chain)
    assert float(again.soft_chain) == pytest.approx(float(plain.soft_chain), rel=1e-5)


def widen(model: LoadedModel, rows: int) -> None:
    """Adds rows that would win every comparison."""
    inner = model.network.inner
    inner.resize_token_embeddings(len(model.network.head_VD) + rows)
    with torch.no_grad():
        model.network.head_VD[-rows:] = 5 * model.network.head_VD[:rows]
    assert len(model.network.head_VD) >= model.words.known + rows


def test_a_shard_that_is_there_is_not_made_again_and_another_index_makes_all(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    assistant = load_folder(pair[0])
    items = some_lessons()
    store(tmp_path, assistant, items, 8)
    one = SoftLabelWriter(tmp_path, index_of(assistant, 8, len(items)), encoder(assistant), 2)
    assert one.missing() == []
    (tmp_path / "shard-00001.json").unlink()
    assert one.missing() == [1]
    other = SoftLabelWriter(tmp_path, index_of(assistant, 8, len(items), model="other"), encoder(assistant), 2)
    assert other.missing() == [0, 1, 2]
    assert not list(tmp_path.glob("shard-*"))


@pytest.mark.parametrize("victim", ["index.json", "shard-00001.json", "shard-00001.safetensors"])
def test_a_damaged_file_is_named_with_what_to_do(pair: tuple[Path, Path], tmp_path: Path, victim: str) -> None:
    assistant = load_folder(pair[0])
    items = some_lessons()
    store(tmp_path, assistant, items, 8)
    (tmp_path / victim).write_bytes(b"\0\1\2")
    with pytest.raises(TrainingError, match=f"{victim} is damaged") as found:
        SoftLabelStore.read(tmp_path).soft_targets(examples_of(assistant, items), 2.0, CPU)
    assert "Delete" in found.value.hint


def test_a_missing_shard_is_noticed(pair: tuple[Path, Path], tmp_path: Path) -> None:
    store(tmp_path, load_folder(pair[0]), some_lessons(), 8)
    (tmp_path / "shard-00002.json").unlink()
    with pytest.raises(TrainingError, match="no whole soft labels"):
        SoftLabelStore.read(tmp_path)


def test_the_label_distribution_is_exact_and_normalised(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assistant = load_folder(pair[0])
    items = some_lessons()
    stored = store(tmp_path, assistant, items, 8)
    examples = examples_of(assistant, items)
    classes_EQ = stored.soft_targets(examples, 2.0, CPU).classes_EQ
    assert classes_EQ is not None
    assert classes_EQ.exp().sum(-1) == pytest.approx(torch.ones(len(items)), abs=1e-5)
    rows = json.loads((tmp_path / "shard-00000.json").read_text("utf-8"))["rows"]
    assert [row["key"] for row in rows] == [item.key for item in items[:2]]
