"""The model card: what the model was trained from and how, its results, how to ask it, where its limits are.

Everything in it is read off the run folder, if the model still lies in one; what is not known is not said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mulcot.backbones.base import Backbone, saved_backbone
from mulcot.errors import printable
from mulcot.evaluation.scores import ModelScores, Scores
from mulcot.export.pair import INSIDE
from mulcot.methods import methods
from mulcot.multimodal_cot.settings import saved_fusion
from mulcot.predict.model_folders import EVALUATE, home
from mulcot.records import Json
from mulcot.rundir import RunFolder, write_text
from mulcot.settings import Settings
from mulcot.tasks.base import Purpose, Task
from mulcot.version import __version__

CARD_FILE = "README.md"
PAPER = "https://arxiv.org/abs/2508.05234"
PAIR_PAPER = "https://arxiv.org/abs/2302.00923"


def write_card(out: Path, source: Path, task: Task, kind: str) -> None:
    """Writes the card of the model in `source` into the exported folder `out`."""
    run, stage = _home(source)
    settings = saved_backbone(source)
    lines = [
        *_front(settings, kind),
        *_head(settings, task, kind, stage),
        *(_training(run) if run else ()),
        *_results(run, stage),
        *_asking(settings, task),
        *_limits(run, task),
    ]
    write_text(out / CARD_FILE, "\n".join(lines) + "\n")


def write_pair_card(out: Path, source: Path, task: Task) -> None:
    """The same for the models of Multimodal-CoT; they are always written whole."""
    run, stage = _home(source)
    settings, _ = saved_fusion(source)
    alone = not (out / INSIDE).is_dir()
    base = base_name(settings)
    front: Json = {"pipeline_tag": "visual-question-answering", "tags": ["mulcot", "multimodal-cot"]}
    if "/" in base:
        front["base_model"] = base
    who = "One fused T5 explains and answers" if alone else "One fused T5 explains, a second answers in view of that"
    lines = [
        *("---", yaml.safe_dump(front, sort_keys=False).rstrip(), "---", ""),
        *(f"# Answers with reasons for {task.name.replace('_', ' ')}", ""),
        f"{who} ([Multimodal-CoT]({PAIR_PAPER})); the picture is looked at by a frozen extractor.",
        *(f"Base model: {_code(base)}; made with mulcot {__version__}.", ""),
        *(_training(run) if run else ()),
        *_results(run, stage),
        *("## How to ask it", ""),
        "`mulcot predict --model .`, `mulcot serve --model .`; from Python, `mulcot.open_predictor`. The folder can",
        *("be moved as a whole. Plain transformers load the T5, but not the layer that looks.", ""),
        *_limits(run, task),
    ]
    write_text(out / CARD_FILE, "\n".join(lines) + "\n")


def base_name(settings: Settings) -> str:
    """What the model was made of, without any folder of this machine."""
    model = getattr(settings, "model", None)
    if isinstance(model, str):
        return model if not model.startswith(("/", ".", "~")) else Path(model).name
    return f"mulcot-{settings.name}-{getattr(settings, 'size', 'model')}"


def _home(source: Path) -> tuple[RunFolder | None, str]:
    """The run that the model lies in, and the name under which it is evaluated."""
    run, folder = home(source)
    stage, _, inside = folder.partition("/")
    return run, inside or stage.partition("-")[2]


def _front(settings: Backbone, kind: str) -> Iterator[str]:
    library = "transformers" if kind == "merged" else "peft"
    front: Json = {"library_name": library, "pipeline_tag": "image-text-to-text", "tags": ["mulcot", "distillation"]}
    if isinstance(getattr(settings, "model", None), str) and "/" in base_name(settings):
        front["base_model"] = base_name(settings)
    yield from ("---", yaml.safe_dump(front, sort_keys=False).rstrip(), "---", "")


def _head(settings: Backbone, task: Task, kind: str, stage: str) -> Iterator[str]:
    stage = stage.replace("_", " ")
    what = f"the {stage} model of a MulCoT-RD run" if stage else "a model trained with mulcot"
    yield from (f"# {stage.capitalize() or 'Model'} for {task.name.replace('_', ' ')}", "")
    yield f"This is {what} ([paper]({PAPER})): it gives a post, text and picture, a label and a chain that explains it."
    form = "merged into plain weights" if kind == "merged" else "a LoRA adapter"
    yield from (f"Base model: {_code(base_name(settings))}; form: {form}; made with mulcot {__version__}.", "")


def _training(run: RunFolder) -> Iterator[str]:
    """What each stage did, and on which data."""
    recipe = _object(yaml.safe_load((run.path / "recipe.yaml").read_text("utf-8")))
    yield from ("## How it was trained", "")
    yield f"- Data: {_code(_object(recipe.get('dataset')).get('name', 'unknown'))}, seed {_code(recipe.get('seed'))}."
    backend = _object(_object(recipe.get("teacher")).get("backend"))
    if backend:
        yield f"- Teacher: {_code(backend.get('model') or backend.get('name'))}."
    did = {step.stage: step.did for method in methods().values() for step in method.steps if step.did}
    for stage in run.stages():
        name = stage.name
        record = stage.record
        if record is None or name not in did:
            continue
        counts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in record.counts.items())
        yield f"- {name.capitalize()} {did[name]}: {_plain(counts)}."
    yield from ("", "The whole recipe:", "", "```yaml")
    shown = yaml.safe_dump(_without_places(recipe), sort_keys=False, allow_unicode=True)
    yield from (printable(line) for line in shown.rstrip().splitlines())
    yield from ("```", "")


def _without_places(value: Any) -> Any:
    """A recipe without folders of this machine: of a path, its last part."""
    if isinstance(value, dict):
        return {key: _without_places(inner) for key, inner in value.items() if key != "output"}
    if isinstance(value, list):
        return [_without_places(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "~")) else value


def _results(run: RunFolder | None, stage: str) -> Iterator[str]:
    yield from ("## Results", "")
    scores = _scores(run)
    rows = [
        (name, found.examples, found.models[stage])
        for name, found in (scores.sets if scores else {}).items()
        if stage in found.models
    ]
    if not rows:
        yield from ("This model has not been evaluated; `mulcot run` with an `evaluate` section does it.", "")
        return
    yield "| set | examples | accuracy | macro F1 | label and chain agree |"
    yield "| --- | --- | --- | --- | --- |"
    for name, examples, own in rows:
        agree = f"{own.agreement.share:.1%}" if own.agreement else ""
        yield f"| {_plain(name)} | {examples} | {_interval(own, 'accuracy')} | {_interval(own, 'macro_f1')} | {agree} |"
    yield from ("", "In brackets, 95 % bootstrap intervals over examples; they say nothing about other seeds.", "")


def _asking(settings: Backbone, task: Task) -> Iterator[str]:
    """The prompts of training, with a post to stand for any."""
    example = task.sample()
    chain, label = (task.prompt(example, purpose) for purpose in (Purpose.CHAIN, Purpose.LABEL))
    yield from ("## How to ask it", "")
    yield "`mulcot predict --model .` and `mulcot serve --model .` do all of this. Elsewhere, send the system text,"
    yield "then one user message with the picture first. Other wordings, or none, give worse answers."
    if settings.image_size is not None:
        side = settings.image_size
        yield f"Resize every picture to {side} x {side} pixels (bicubic, shape not kept): so it was trained."
    for title, text in (("System", chain.system), ("For the chain", chain.user), ("For the label", label.user)):
        yield from ("", f"{title}:", "", "````text", *text.splitlines(), "````")
    answers = ", ".join(_code(task.write_label(name)) for name in task.labels(example))
    yield from ("", f"Label answers: {answers}.", "")


def _limits(run: RunFolder | None, task: Task) -> Iterator[str]:
    yield from ("## Limits", "")
    yield "- The chain is written text. It reads like a reason; whether the label depends on it is measured by the"
    yield "  faithfulness tests of the evaluation, not promised."
    if not task.positional_labels:
        labels = ", ".join(_code(label) for label in task.labels())
        yield f"- It always answers with one of {labels}, whatever it is shown."
    yield "- Labels follow the data it was trained on, errors and habits of its annotators included."
    recipe = _object(yaml.safe_load((run.path / "recipe.yaml").read_text("utf-8"))) if run else {}
    if str(_object(recipe.get("dataset")).get("name", "")).startswith("synthetic"):
        yield "- It was trained on drawn pictures and made-up posts alone, and is of no use for anything else."


def _scores(run: RunFolder | None) -> Scores | None:
    path = run.named()[EVALUATE] / "scores.json" if run and EVALUATE in run.named() else None
    return Scores.model_validate(json.loads(path.read_text("utf-8"))) if path and path.is_file() else None


def _interval(scores: ModelScores, name: str) -> str:
    value = f"{getattr(scores.labels, name):.1%}"
    bounds = scores.labels.intervals.get(name)
    return f"{value} ({bounds[0]:.1%} to {bounds[1]:.1%})" if bounds else value


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _plain(text: object) -> str:
    """Text that no Markdown or HTML can come out of."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in printable(str(text)))


def _code(text: object) -> str:
    return f"`{printable(str(text)).replace('`', chr(39))}`"
