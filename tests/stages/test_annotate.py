from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small import chain, go, job_of, write_recipe

from mulcot.backbones.vlm.network import Network
from mulcot.errors import TrainingError
from mulcot.recipe import Loaded, load_recipe
from mulcot.records import Example, Rationale, read_lines
from mulcot.stages.annotate import AnnotateStage
from mulcot.training.soft_label_store import SoftLabelWriter


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe whose assistant is finished."""
    folder = tmp_path_factory.mktemp("trained")
    go(write_recipe(folder, posts={"train": 10, "dev": 2, "test": 0}), last="assistant")
    return folder


@pytest.fixture
def again(trained: Path, tmp_path: Path) -> Callable[..., Loaded]:
    """A copy of that run, with some options."""

    def copy(name: str, *options: str) -> Loaded:
        shutil.copytree(trained / "run", tmp_path / name)
        options = (f"output={tmp_path / name}", "annotate.shard=4", *options)
        return load_recipe(trained / "recipe.yaml", list(options))

    return copy


def annotate(loaded: Loaded) -> dict[str, Any]:
    stage, job = job_of(loaded, "annotate")
    found: dict[str, Any] = stage.run(job)
    return found


def made(loaded: Loaded) -> dict[str, bytes]:
    folder = loaded.folder / "4-annotate"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_continues_after_the_last_whole_shard_to_the_same_bytes(
    again: Callable[..., Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, disturbed = again("undisturbed"), again("disturbed")
    annotate(undisturbed)
    plain_write, plain_look, calls = AnnotateStage._write, SoftLabelWriter._look, {"chains": 0, "looks": 0}

    def write(self: AnnotateStage, *args: Any) -> Iterator[str]:
        calls["chains"] += 1
        if calls["chains"] == 2:
            raise KeyboardInterrupt
        return plain_write(self, *args)

    def look(self: SoftLabelWriter, *args: Any) -> dict[str, Any]:
        calls["looks"] += 1
        if calls["looks"] == 2:
            raise KeyboardInterrupt
        return plain_look(self, *args)

    monkeypatch.setattr(AnnotateStage, "_write", write)
    monkeypatch.setattr(SoftLabelWriter, "_look", look)
    for shards, soft in ((1, 0), (3, 1)):
        with pytest.raises(KeyboardInterrupt):
            annotate(disturbed)
        assert len(list((disturbed.folder / "4-annotate/chains").glob("*"))) == shards
        assert len(list((disturbed.folder / "4-annotate/soft_labels").glob("shard-*.json"))) == soft
    annotate(disturbed)
    assert calls == {"chains": 4, "looks": 4}, "what was there is not made again"
    assert made(disturbed) == made(undisturbed)
    assert not [name for name in made(disturbed) if ".part" in name]


def test_another_shard_size_between_two_tries_changes_no_chain(again: Callable[..., Loaded]) -> None:
    one = again("run")
    annotate(one)
    before = made(one)
    annotate(load_recipe(one.path, [f"output={one.folder}", "annotate.shard=3"]))
    after = made(one)
    for name in ("rationales.jsonl", "failures.jsonl"):
        assert after[name] == before[name]
    assert {name for name in after if name.endswith(".safetensors")} == {
        f"soft_labels/shard-{number:05d}.safetensors" for number in range(4)
    }


def test_right_chains_join_and_wrong_ones_are_kept_with_their_reason(again: Callable[..., Loaded]) -> None:
    loaded = again("run", "annotate.shard=64")
    stage, job = job_of(loaded, "annotate")
    posts = list(read_lines(loaded.folder / "1-dataset/examples.jsonl", Example))
    train = [post for post in posts if post.split == "train"]
    replies = []
    for number, post in enumerate(train):
        label = post.label or ""
        other = "negative" if label == "positive" else "positive"
        fields = chain(label if number < 6 else other)
        replies.append(job.task.write_chain(fields) if number != 9 else "no chain at all")
    lines = [{"example_id": p.id, "sample": 0, "reply": r} for p, r in zip(train, replies, strict=True)]
    (job.folder / "chains").mkdir()
    (job.folder / "chains/shard-00000.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    counts = stage.run(job)
    assert (counts["sampled"], counts["accepted"]) == (10, 6)
    assert (counts["rejected_wrong_label"], counts["rejected_incomplete"]) == (3, 1)
    own = list(read_lines(job.folder / "rationales.jsonl", Rationale))
    assert [rationale.example_id for rationale in own] == [post.id for post in train[:6]]
    assert {rationale.source for rationale in own} == {"assistant"}
    failures = [json.loads(line) for line in (job.folder / "failures.jsonl").read_text("utf-8").splitlines()]
    assert [failure["reply"] for failure in failures] == replies[6:]
    # 8 chains of the teacher, 6 of the assistant, 2 posts without any.
    assert counts["lessons"] == 16


def test_where_none_of_its_own_is_right_it_goes_on_with_the_teachers_chains_and_says_so(
    again: Callable[..., Loaded],
) -> None:
    stage, job = job_of(again("run"), "annotate")
    counts = stage.run(job)  # an untrained model of a few tokens writes no whole chain
    assert (counts["accepted"], counts["lessons"]) == (0, 10)
    assert job.warnings == [
        "none of the assistant's 10 chains is right and whole (incomplete 10): the student learns from the teacher's 8 "
        "alone"
    ]


def test_a_student_of_the_teachers_chains_alone_finds_its_soft_labels(again: Callable[..., Loaded]) -> None:
    """The last two posts have no chain of the teacher; here the assistant has written one for each."""
    loaded = again("run", "annotate.shard=64", "student.chains=teacher", "student.training.epochs=1")
    stage, job = job_of(loaded, "annotate")
    train = [post for post in read_lines(loaded.folder / "1-dataset/examples.jsonl", Example) if post.split == "train"]
    lines = [
        {"example_id": post.id, "sample": 0, "reply": job.task.write_chain(chain(post.label or ""))} for post in train
    ]
    (job.folder / "chains").mkdir()
    (job.folder / "chains/shard-00000.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert stage.run(job)["accepted"] == 10
    student, student_job = job_of(loaded, "student")
    assert student.run(student_job)["lessons"] == 10


def test_damaged_chains_are_named_with_what_to_do(again: Callable[..., Loaded]) -> None:
    loaded = again("run")
    annotate(loaded)
    victim = loaded.folder / "4-annotate/chains/shard-00001.jsonl"
    victim.write_text('{"example_id": "a", "sam', "utf-8")
    with pytest.raises(TrainingError, match=r"shard-00001.jsonl is damaged") as found:
        annotate(loaded)
    assert "Delete it" in found.value.hint
    before = made(loaded)["rationales.jsonl"]
    victim.unlink()
    annotate(loaded)
    assert made(loaded)["rationales.jsonl"] == before


def test_samples_follow_the_recipes_seed_and_their_number(again: Callable[..., Loaded]) -> None:
    replies = {}
    for name, *options in (("a",), ("b",), ("c", "seed=1"), ("d", "annotate.samples=2")):
        loaded = again(name, *options)
        annotate(loaded)
        lines = made(loaded)["failures.jsonl"].decode().splitlines()
        replies[name] = [json.loads(line)["reply"] for line in lines]
    assert replies["a"] == replies["b"]
    assert replies["a"] != replies["c"]
    assert replies["d"][::2] == replies["a"]
    assert replies["d"][1::2] != replies["a"]


def test_no_samples_leave_the_teachers_chains_alone(again: Callable[..., Loaded]) -> None:
    counts = annotate(again("run", "annotate.samples=0"))
    assert counts == {"sampled": 0, "accepted": 0, "lessons": 10}


def test_changed_settings_or_another_assistant_make_everything_again(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "run", tmp_path / "run")
    recipe, output = trained / "recipe.yaml", f"output={tmp_path / 'run'}"
    first = go(recipe, output, last="annotate")[-1]
    assert go(recipe, output, last="annotate")[-1].skipped
    assert not go(recipe, output, "annotate.top_k=8", last="annotate")[-1].skipped
    index = json.loads((tmp_path / "run/4-annotate/soft_labels/index.json").read_text("utf-8"))
    assert index["k"] == 8
    go(recipe, output, "assistant.objective.reasoning=0.5", last="annotate")
    changed = json.loads((tmp_path / "run/4-annotate/soft_labels/index.json").read_text("utf-8"))
    assert changed["model"] != index["model"]
    assert first.record.fingerprint
    assert sorted(path.name for path in (tmp_path / "run/superseded").iterdir()) == [
        "3-assistant-1", "4-annotate-1", "4-annotate-2"]  # fmt: skip


def test_a_student_refuses_soft_labels_of_another_assistant(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "run", tmp_path / "run")
    recipe, output = trained / "recipe.yaml", f"output={tmp_path / 'run'}"
    go(recipe, output, last="annotate")
    other = "assistant.objective.reasoning=0.5"
    go(recipe, output, other, first="assistant", last="assistant")
    with pytest.raises(TrainingError, match="assistant has changed"):
        go(recipe, output, other, first="student", last="student")


@pytest.mark.parametrize("part", ["chains", "soft labels"])
def test_full_memory_names_the_setting(
    again: Callable[..., Loaded], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def full(*args: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(
        Network if part == "chains" else SoftLabelWriter, "forward" if part == "chains" else "_look", full
    )
    with pytest.raises(TrainingError, match="annotate: out of memory") as found:
        annotate(again("run", "annotate.batch_size=3"))
    assert found.value.hint == "Lower annotate.batch_size (now 3)."
