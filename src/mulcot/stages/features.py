"""Stage `features`: every distinct picture is seen once by a frozen extractor, and may be described once by a teacher.

features/         features.json, index.jsonl and patches.bin, see docs/features.md
captions.jsonl    with a captioner, see `stages.captions`
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import SerializeAsAny, model_validator

from mulcot.datasets.base import Dataset
from mulcot.errors import DataError
from mulcot.extractors.base import Extractor, extractors
from mulcot.extractors.vit import Vit
from mulcot.features.published_files import Published
from mulcot.features.store import FEATURES, DType, FeatureKind, FeatureStore, FeatureWriter
from mulcot.plugin import Plugin
from mulcot.records import Example, ImageRef, Json, read_lines
from mulcot.rundir import file_hash
from mulcot.settings import volatile
from mulcot.stages.base import Job, Need, Stage, stages
from mulcot.stages.shared_captions import LEDGER, describe_pictures
from mulcot.stages.shared_training import device
from mulcot.tasks.base import Task
from mulcot.teacher.backends.imported import Imported
from mulcot.teacher.base import Teacher, teachers
from mulcot.teacher.labelling.budget import Budget, Prices

if TYPE_CHECKING:
    from mulcot.extractors.runtime.loaded import LoadedExtractor


@stages.register("features")
class FeaturesStage(Stage):
    """What the pictures look like to a frozen model."""

    about: ClassVar[str] = (
        "What the pictures look like to a frozen extractor; left out, multimodal-cot reads texts alone."
    )
    keeps: ClassVar[tuple[str, ...]] = (f"{LEDGER}*",)
    bulky: ClassVar[tuple[str, ...]] = (LEDGER,)

    extractor: SerializeAsAny[Annotated[Extractor, Plugin(extractors)]] | None = Vit()
    """Who looks at the pictures; null for models that read captions alone."""
    captioner: SerializeAsAny[Annotated[Teacher, Plugin(teachers)]] | None = None
    """A teacher that describes every distinct picture, for `captions: true` of rationale and answer; an example that
    has a caption keeps it."""
    budget: Budget = volatile(Budget())
    """Where the captioner stops; it continues when this is raised."""
    prices: Prices | None = volatile(None)
    """What the captioner's provider charges; without it money is unknown."""
    dtype: DType = "fp16"
    """How values are stored; fp32 takes twice the space."""
    published: Published | None = None
    """Features that were made elsewhere, instead of an extractor's."""
    batch_size: int = volatile(16, ge=1)
    """Pictures at once."""
    loaders: int = volatile(2, ge=1)
    """Threads that open pictures while the extractor works."""

    @model_validator(mode="after")
    def _check(self) -> FeaturesStage:
        if self.extractor is None and self.captioner is None and self.published is None:
            raise ValueError("extractor: null needs a captioner; or leave the section features out")
        if isinstance(self.captioner, Imported):
            raise ValueError("captioner: imported describes nothing; captions of your own are part of the dataset")
        if self.budget.limited and self.captioner is None:
            raise ValueError("budget is for a captioner, and there is none")
        if self.budget.money is not None and self.prices is None:
            raise ValueError("budget.money needs features.prices: without them money is unknown")
        return self

    def needs(self) -> tuple[Need, ...]:
        """The examples."""
        return (Need("dataset"),)

    def extras(self) -> tuple[str, ...]:
        """An extractor runs here; features and captions that others make need nothing."""
        return ("train",) if self.published is None and self.extractor is not None else ()

    def problems(self, task: Task, dataset: Dataset) -> list[str]:
        """A missing model folder, file or key."""
        variable = getattr(self.captioner, "api_key_env", None)
        if variable and not os.environ.get(variable, "").strip():
            return [
                f"the environment variable {variable} (captioner.api_key_env) is not set",
                *self._extractor_problems(),
            ]
        return self._extractor_problems()

    def _extractor_problems(self) -> list[str]:
        if self.published is not None:
            missing = [path for path in self.sources() if not path.is_file()]
            return [f"there is no file {path}" for path in missing] + self.published.problems()
        if self.extractor is None:
            return []
        model: Any = getattr(self.extractor, "model", None)
        if isinstance(model, str) and model.startswith(("/", ".", "~")) and not Path(model).expanduser().is_dir():
            return [f"there is no model folder {model}"]
        return []

    def sources(self) -> tuple[Path, ...]:
        """The published files."""
        return () if self.published is None else (self.published.array, self.published.name_map)

    def run(self, job: Job) -> Json:
        """Extracts what is missing."""
        examples = list(read_lines(job.before["dataset"] / "examples.jsonl", Example))
        pictures = distinct(examples)
        counts: Json = {}
        if self.published is not None:
            self._import(job, self.published, examples)
        elif self.extractor is not None:
            from mulcot.training.stopping import memory_advice

            with memory_advice(
                "features", f"Lower features.batch_size (now {self.batch_size}); results stay the same."
            ):
                self._extract(job, self.extractor, pictures)
        if (job.folder / FEATURES).exists():
            store = FeatureStore.open(job.folder / FEATURES)
            patches = sum(entry.patches for entry in store.entries.values())
            counts = {"pictures": len(store), "patches": patches, "width": store.width}
        if self.captioner is not None:
            counts |= describe_pictures(job, self.captioner, pictures, self.budget, self.prices)
        return counts | {"without_picture": sum(not example.images for example in examples)}

    def _extract(self, job: Job, source: Extractor, pictures: Mapping[str, ImageRef]) -> None:
        extractor = source.load(device())
        said = {"name": source.name, **source.model_dump(mode="json")}
        kind = FeatureKind(said, extractor.fingerprint(), extractor.width, self.dtype)
        with FeatureWriter(job.folder / FEATURES, kind) as writer:
            todo = [ref for key, ref in pictures.items() if key not in writer.done]
            done = len(pictures) - len(todo)
            with job.reporter.bar(self.name, total=len(pictures), unit="pictures", done=done) as bar:
                for refs, prepared in self._prepared(job, extractor, todo):
                    patches = extractor.extract(prepared)
                    writer.add(zip((ref.sha256 for ref in refs), patches, strict=True))
                    bar.advance(len(refs))

    def _prepared(
        self, job: Job, extractor: LoadedExtractor, refs: Sequence[ImageRef]
    ) -> Iterator[tuple[Sequence[ImageRef], list[Any]]]:
        """The pictures, ready, batch by batch; threads open the next batch while one is looked at."""
        gallery = job.gallery()

        def prepare(ref: ImageRef) -> Any:
            return extractor.prepare(gallery.open(ref))

        batches = [refs[start : start + self.batch_size] for start in range(0, len(refs), self.batch_size)]
        with ThreadPoolExecutor(self.loaders, thread_name_prefix="pictures") as pool:
            ahead = [pool.submit(prepare, ref) for ref in batches[0]] if batches else []
            for number, batch in enumerate(batches):
                current = ahead
                following = batches[number + 1] if number + 1 < len(batches) else ()
                ahead = [pool.submit(prepare, ref) for ref in following]
                yield batch, [future.result() for future in current]

    def _import(self, job: Job, published: Published, examples: Sequence[Example]) -> None:
        """Rows of a published array, each under the picture that its question shows first."""
        array, rows = published.read()
        kind = FeatureKind({}, file_hash(published.array), array.shape[2], self.dtype)
        shown = [example for example in examples if example.images]
        missing = [example.id for example in shown if example.id not in rows]
        if missing:
            message = f"{published.name_map} has no row for {len(missing):,} questions with pictures"
            raise DataError(f"{message}, such as {missing[0]!r}", hint="Use the map of the same dataset.")
        with (
            FeatureWriter(job.folder / FEATURES, kind) as writer,
            job.reporter.bar(self.name, total=len(shown), unit="questions") as bar,
        ):
            for start in range(0, len(shown), self.batch_size):
                part = shown[start : start + self.batch_size]
                writer.add(((example.picture or example.images[0]).sha256, array[rows[example.id]]) for example in part)
                bar.advance(len(part))


def distinct(examples: Sequence[Example]) -> dict[str, ImageRef]:
    """Every picture once, by the hash of its file, in the order of the examples."""
    found: dict[str, ImageRef] = {}
    for example in examples:
        for ref in example.images:
            found.setdefault(ref.sha256, ref)
    return found
