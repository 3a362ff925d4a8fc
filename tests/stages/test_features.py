"""The stage `features`: each picture once, through kills, and never rows for questions without one."""

from __future__ import annotations

import dataclasses
import json
import signal
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import forked
from mulcot.datasets.synthetic_science import SyntheticScience
from mulcot.errors import DataError, MediaError
from mulcot.extractors.runtime.loaded import LoadedExtractor
from mulcot.extractors.vit import Vit
from mulcot.features import FeatureStore
from mulcot.features.published_files import Published
from mulcot.progress import Reporter
from mulcot.records import Example, ImageRef, read_lines
from mulcot.rundir import StageFolder
from mulcot.stages.base import Job
from mulcot.stages.dataset import DatasetStage
from mulcot.stages.features import FeaturesStage, distinct
from mulcot.tasks.multiple_choice import MultipleChoice

DATASET = SyntheticScience(train=12, dev=4, test=4)


def job_in(folder: Path) -> Job:
    job = Job(
        folder=StageFolder(folder / "1-dataset"),
        before={},
        task=MultipleChoice(),
        dataset=DATASET,
        seed=0,
        reporter=Reporter.silent(),
    )
    if not job.folder.path.exists():
        job.folder.path.mkdir(parents=True)
        DatasetStage(source=DATASET).run(job)
    return dataclasses.replace(job, folder=StageFolder(folder / "2-features"), before={"dataset": job.folder})


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return job_in(tmp_path / "run")


@pytest.fixture
def stage(tmp_path: Path) -> FeaturesStage:
    return FeaturesStage(extractor=Vit.demo(tmp_path / "vit"), dtype="fp32", batch_size=3)


def examples_in(job: Job) -> list[Example]:
    return list(read_lines(job.before["dataset"] / "examples.jsonl", Example))


def test_every_distinct_picture_has_its_own_features(job: Job, stage: FeaturesStage) -> None:
    counts = stage.run(job)
    store = FeatureStore.open(job.folder / "features")
    examples = examples_in(job)
    keys = {image.sha256 for example in examples for image in example.images}
    blank = sum(not example.images for example in examples)
    assert blank > 0
    assert counts == {"pictures": len(keys), "patches": 10 * len(keys), "width": 16, "without_picture": blank}
    assert set(store.entries) == keys, "a question without a picture costs no row"
    extractor = stage.extractor.load()
    for example in examples:
        for image in example.images:
            wanted = extractor.extract([extractor.prepare(job.gallery().open(image))])[0]
            np.testing.assert_allclose(store.get(image.sha256), wanted, rtol=1e-4, atol=1e-5)


def test_pictures_are_taken_once_in_the_order_of_the_examples() -> None:
    first, second = ImageRef(path="a", sha256="1"), ImageRef(path="b", sha256="2")
    rows = [Example(id="x", split="train", text="", images=images) for images in ((second, first), (), (first, second))]
    assert list(distinct(rows).items()) == [("2", second), ("1", first)]


def test_what_is_stored_is_not_looked_at_again(job: Job, stage: FeaturesStage, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    extract = LoadedExtractor.extract

    def dying(self: LoadedExtractor, prepared: list[Any]) -> list[Any]:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(prepared))
        return extract(self, prepared)

    monkeypatch.setattr(LoadedExtractor, "extract", dying)
    with pytest.raises(KeyboardInterrupt):
        stage.run(job)
    monkeypatch.undo()
    prepared: list[int] = []
    prepare = stage.extractor.load().__class__.prepare

    def counting(self: LoadedExtractor, picture: Image.Image) -> Any:
        prepared.append(1)
        return prepare(self, picture)  # type: ignore[arg-type]

    monkeypatch.setattr("mulcot.extractors.runtime.towers.TowerExtractor.prepare", counting)
    counts = stage.run(job)
    assert sum(seen) == 6 and len(prepared) == counts["pictures"] - 6


KILLED = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from test_features import FeaturesStage, LoadedExtractor, Vit, job_in
    plain, calls = LoadedExtractor.extract, []
    def extract(self, prepared):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, prepared)
    LoadedExtractor.extract = extract
    FeaturesStage(extractor=Vit(model={vit!r}), dtype="fp32", batch_size=3).run(job_in(Path({run!r})))
    """


@pytest.mark.slow
def test_a_killed_stage_ends_with_the_same_bytes(tmp_path: Path, job: Job, stage: FeaturesStage) -> None:
    stage.run(job)
    other = job_in(tmp_path / "other")
    code = KILLED.format(tests=str(Path(__file__).parent), vit=stage.extractor.model, run=str(tmp_path / "other"))  # type: ignore[attr-defined]
    done = forked.run("-c", textwrap.dedent(code))
    assert done.returncode == -signal.SIGKILL
    assert len(FeatureStore.open(other.folder / "features")) == 6
    stage.run(other)
    for name in ("features.json", "index.jsonl", "patches.bin"):
        assert (other.folder / "features" / name).read_bytes() == (job.folder / "features" / name).read_bytes()


def test_a_picture_that_changed_stops_the_stage_with_its_name(job: Job, stage: FeaturesStage) -> None:
    image = next(image for example in examples_in(job) for image in example.images)
    Image.new("RGB", (84, 84), "red").save(job.gallery().path(image))
    with pytest.raises(MediaError, match="has changed since it was checked"):
        stage.run(job)


def published(job: Job, folder: Path, rows: int | None = None) -> Published:
    shown = [example.id for example in examples_in(job) if example.images]
    np.save(folder / "vit.npy", np.random.default_rng(0).normal(size=(len(shown), 5, 7)))
    (folder / "map.json").write_text(json.dumps({name: row for row, name in enumerate(shown[:rows])}))
    return Published(array=folder / "vit.npy", name_map=folder / "map.json")


def test_published_features_are_imported_under_their_pictures(job: Job, tmp_path: Path) -> None:
    source = published(job, tmp_path)
    FeaturesStage(published=source, dtype="fp32").run(job)
    store, (array, rows) = FeatureStore.open(job.folder / "features"), source.read()
    for example in examples_in(job):
        if example.picture:
            wanted = array[rows[example.id]].astype(np.float32)
            np.testing.assert_array_equal(store.get(example.picture.sha256), wanted)
    assert store.kind.extractor == {} and store.width == 7


def test_a_published_map_that_lacks_questions_is_refused(job: Job, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no row for [0-9]+ questions with pictures"):
        FeaturesStage(published=published(job, tmp_path, rows=2)).run(job)


def test_missing_folders_and_files_are_found_before_the_run(tmp_path: Path) -> None:
    stage = FeaturesStage(extractor=Vit(model=str(tmp_path / "nothing")))
    assert stage.problems(MultipleChoice(), DATASET) == [f"there is no model folder {tmp_path / 'nothing'}"]
    missing = Published(array=tmp_path / "a.npy", name_map=tmp_path / "b.json")
    assert len(FeaturesStage(published=missing).problems(MultipleChoice(), DATASET)) == 2


def test_batch_size_and_loaders_do_not_count_as_settings() -> None:
    assert FeaturesStage(batch_size=1, loaders=1).fingerprint() == FeaturesStage().fingerprint()
    assert FeaturesStage(dtype="fp32").fingerprint() != FeaturesStage().fingerprint()
