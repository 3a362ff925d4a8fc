"""What stages will look for in the data and not find: known once the data is read, before anything is paid for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mulcot.datasets.statistics import NO_LABEL, SplitStatistics
from mulcot.stages.base import Stage
from mulcot.stages.features import FeaturesStage
from mulcot.stages.rationale import RationaleStage
from mulcot.stages.shared_captions import NO_CAPTIONS, WRITE_CAPTIONS
from mulcot.stages.shared_evaluation_sets import SetsStage
from mulcot.stages.teacher import TeacherStage


class Lack(NamedTuple):
    """What one stage will not find."""

    stage: str
    text: str


def data_lacking(
    stages: Mapping[str, Stage], trained: Sequence[str], splits: Mapping[str, SplitStatistics]
) -> Iterator[Lack]:
    """For the stages of one recipe, by name, those of them that train, and the splits of its data."""
    labelled = {name: split.count - split.labels.get(NO_LABEL, 0) for name, split in splits.items()}
    for name in trained:
        if name in stages:
            found = [label for label in splits["train"].labels if label != NO_LABEL] if "train" in splits else []
            if not found:
                yield Lack(name, "there is no labelled training example")
            elif len(found) == 1:
                yield Lack(name, f"every training example has the label {found[0]!r}: there is nothing to tell apart")
            break
    features = stages.get("features")
    if isinstance(features, FeaturesStage) and not any(split.images for split in splits.values()):
        yield Lack("features", "no example has a picture; leave the section out for texts alone")
    evaluate = stages.get("evaluate")
    if isinstance(evaluate, SetsStage) and not any(labelled.get(name) for name in evaluate.splits):
        yield Lack("evaluate", f"there is no labelled example in {', '.join(evaluate.splits)}")
    explained = "train" in splits and splits["train"].rationales > 0
    if isinstance(stages.get("rationale"), RationaleStage) and "teacher" not in stages and not explained:
        yield Lack("rationale", "no training example has a rationale; a section teacher writes them")
    teacher = stages.get("teacher")
    if isinstance(teacher, TeacherStage) and "train" not in teacher.splits:
        readers = ("assistant", "student") if explained else ("assistant", "student", "rationale")
        for name in [name for name in readers if name in stages][:1]:
            yield Lack(
                name, f"teacher.splits is {', '.join(teacher.splits)}: no chain of train to learn from; add train"
            )
    captioner = getattr(features, "captioner", None)
    if captioner is None and not any(split.captions for split in splits.values()):
        for name in ("rationale", "answer"):
            if getattr(stages.get(name), "captions", False):
                yield Lack(name, f"{NO_CAPTIONS} {WRITE_CAPTIONS}")
