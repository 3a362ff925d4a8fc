"""A whole run folder written by hand: every file that a report reads, without a model having run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import yaml

from mulcot.datasets.demo_files import save_picture
from mulcot.metrics.classification import classify
from mulcot.metrics.comparison import compare_labels, mcnemar
from mulcot.metrics.confusion import Confusion
from mulcot.records import Example, ImageRef, Prediction, Rationale
from mulcot.rundir import RunFolder, StageRecord, write_json

LABELS = ("positive", "neutral", "negative")
STAGES = ("dataset", "teacher", "assistant", "annotate", "student", "evaluate")
RECIPE: dict[str, Any] = {
    "version": 1, "seed": 3, "task": {"name": "sentiment"}, "dataset": {"name": "synthetic", "train": 4},
    "assistant": {"backbone": {"name": "tiny", "size": "assistant"}}, "student": {"backbone": {"name": "tiny"}},
}  # fmt: skip
SUMMARY: dict[str, Any] = {
    "teacher": "simulated", "backend": "simulated", "simulated": True, "preset": "checked", "examples": 4,
    "accepted": {"stage1": 3, "stage2": 0}, "failed": 1, "reasons": {"truncated": 1}, "verdicts": {}, "attempts": {},
    "stage1_accuracy": 0.75, "confusion": {}, "labels": {"positive": {"examples": 4, "stage1": 3, "failed": 1}},
    "histograms": {
        "replies_per_example": {"count": 4, "mean": 1.5, "min": 1, "max": 3, "step": 1, "bins": {"1": 3, "3": 1}},
    },
    "spent": {"requests": 6, "from_cache": 0, "prompt": 900, "completion": 100, "unknown_usage": 0,
              "shown": "0.12 EUR"},
}  # fmt: skip


def make_run(
    folder: Path,
    *,
    stages: tuple[str, ...] = STAGES,
    skills: dict[str, float] | None = None,
    count: int = 12,
    text: str = "a post",
    recipe: dict[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """Writes the stages named; `skills` says how often each model is right, `text` is part of everything shown."""
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    run.write_recipe(yaml.safe_dump({**RECIPE, **(recipe or {})}))
    examples = [_example(number, text) for number in range(count)]
    for number, name in enumerate(STAGES, 1):
        if name in stages:
            stage = run.stage(number, name)
            stage.path.mkdir()
            counts = WRITERS[name](stage.path, examples, skills or {"assistant": 0.9, "student": 0.7}, text, seed)
            about = {"mulcot": "0.1.0", "commit": None, "cores": 2, "packages": {"numpy": "2"}}
            record = StageRecord(stage=name, fingerprint=f"mark-{name}", counts=counts, seconds=1.5, provenance=about)
            stage.finish(record)
    return folder


def _example(number: int, text: str) -> Example:
    return Example(
        id=f"id{number:05}", split="test", text=f"{text} {number}", label=LABELS[number % 2],
        images=(ImageRef(path="p.png", stored=True),),
    )  # fmt: skip


def _dataset(folder: Path, examples: list[Example], *_: Any) -> dict[str, Any]:
    (folder / "pictures").mkdir()
    save_picture(folder / "pictures/p.png", 1)
    (folder / "examples.jsonl").write_text("".join(e.to_line() for e in examples), "utf-8")
    even = {"count": 100, "labels": {"positive": 50, "neutral": 50}}
    splits = {"train": even, "test": even}
    write_json(
        folder / "statistics.json", {"splits": splits, "leakage": {"train/test": {"text": 0, "image": 0, "both": 0}}}
    )
    return {"examples": len(examples), "test": len(examples), "rejected": 0}


def _teacher(folder: Path, examples: list[Example], _: Any, text: str, __: int) -> dict[str, Any]:
    write_json(folder / "summary.json", SUMMARY)
    fields = {"Text_analysis": f"{text}!", "Prediction": "positive"}
    chains = [
        Rationale(example_id=e.id, source="teacher", stage=1, fields=fields, prediction="positive") for e in examples
    ]
    (folder / "rationales.jsonl").write_text("".join(chain.to_line() for chain in chains), "utf-8")
    return {"examples": 4, "stage1": 3, "failed": 1}


def _training(folder: Path, *_: Any) -> dict[str, Any]:
    steps = [
        {"step": n, "epoch": n / 4, "loss": 5 / n, "chain": 4 / n, "seconds": 1, "examples": 4} for n in range(1, 9)
    ]
    look = {"step": 8, "evaluation": {"accuracy": 0.5, "dev": {"accuracy": 0.5}, "train": {"accuracy": 0.6}}}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*steps, look]), "utf-8")
    return {"lessons": 7, "steps": 8}


def _annotate(*_: Any) -> dict[str, Any]:
    return {"sampled": 4, "accepted": 3, "lessons": 7, "rejected_incomplete": 1}


def _evaluate(folder: Path, examples: list[Example], skills: dict[str, float], text: str, seed: int) -> dict[str, Any]:
    dice = random.Random(seed)
    right = [example.label or "" for example in examples]
    given: dict[str, list[str]] = {"majority": ["positive"] * len(right)}
    (folder / "predictions/test").mkdir(parents=True)
    for model, skill in skills.items():
        given[model] = [label if dice.random() < skill else dice.choice(LABELS) for label in right]
        with (folder / f"predictions/test/{model}.jsonl").open("w", encoding="utf-8") as file:
            for example, label in zip(examples, given[model], strict=True):
                file.write(_prediction(example, label, text).to_line())
    models = {model: model_scores(labels, right, chains=model != "majority") for model, labels in given.items()}
    pairs = [_pair("student", other, given, right) for other in given if other != "student" and "student" in given]
    counts = {label: right.count(label) for label in LABELS}
    found = {"examples": len(right), "labels": counts, "models": models, "comparisons": pairs}
    write_json(folder / "scores.json", {"format": 1, "task": "sentiment", "sets": {"test": found}})
    return {"student_test": 0.7}


def _prediction(example: Example, label: str, text: str) -> Prediction:
    fields = {"Text_analysis": f"{text} says much. " * 3, "Image_analysis": text, "Prediction": label}
    odds = {name: 0.8 if name == label else 0.1 for name in LABELS}
    return Prediction(
        id=example.id, label=label, probabilities=odds, chain=text, fields=fields, chain_label="positive",
        agrees=label == "positive",
    )  # fmt: skip


def model_scores(given: list[str], right: list[str], *, chains: bool) -> dict[str, Any]:
    """One model's scores; `neutral` and `negative` occur or not as they come."""
    table = Confusion(given, right, LABELS)
    quality = classify(given, right, LABELS)._asdict()
    labels = {
        **quality, "unparsed": 0, "intervals": {k: list(v) for k, v in table.intervals().items()},
        "per_label": [one._asdict() for one in table.per_label()], "confusion": table.to_json(),
    }  # fmt: skip
    out: dict[str, Any] = {"how": "by hand", "answered": len(right), "rejected": {}, "labels": labels}
    if not chains:
        return out
    number = len(right)
    bins = [{"low": 0.7, "high": 0.8, "examples": number, "confidence": 0.8, "accuracy": quality["accuracy"]}]
    calibration = {"temperature": 1.0, "ece": 0.02, "brier": 0.3, "loss": 0.5, "accuracy": quality["accuracy"],
                   "confidence": 0.8, "examples": number, "bins": bins}  # fmt: skip
    overlap = {"bleu": 0.3, "meteor": 0.6, "rouge_l": 0.5, "distinct_1": 0.1, "distinct_2": 0.2, "similarity": 0.9,
               "intervals": {"bleu": [0.2, 0.4]}, "floor": {"bleu": 0.11}, "notes": {}}  # fmt: skip
    return {
        **out,
        "agreement": {"examples": number, "agree": number, "differ": 0, "unread": 0, "share": 1.0,
                      "right_together": number, "right_label_only": 0, "right_chain_only": 0},
        "calibration": [calibration],
        "chains": {"written": number, "complete": number, "cut": 0, "empty": 0, "problems": {}, "characters": 80.0},
        "overlap": {"paper": overlap},
        "references": "teacher",
    }  # fmt: skip


def _pair(first: str, second: str, given: dict[str, list[str]], right: list[str]) -> dict[str, Any]:
    test = mcnemar(*([a == b for a, b in zip(given[model], right, strict=True)] for model in (first, second)))
    differences = compare_labels(given[first], given[second], right, LABELS)
    return {
        "first": first, "second": second, "only_first": test.only_first, "only_second": test.only_second,
        "mcnemar_p": test.p_value,
        "differences": {k: [d.value, *d.interval, d.p_value] for k, d in differences.items()},
    }  # fmt: skip


WRITERS: dict[str, Any] = {
    "dataset": _dataset, "teacher": _teacher, "assistant": _training, "annotate": _annotate, "student": _training,
    "evaluate": _evaluate,
}  # fmt: skip
