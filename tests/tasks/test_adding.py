"""Adding a task is adding one file: shown with a task of another package, on every way that tasks go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ONE_FILE = '''
"""Riddles: a text, a topic it is about, and choices that are answered by letter."""

from dataclasses import replace

from mulcot.tasks.base import Demo, tasks
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.templates import Placeholders


@tasks.register("riddles")
class Riddles(MultipleChoice):
    """Riddles with a topic."""

    placeholders = Placeholders(
        constant=("format", "fields"),
        example=("text", "aspect", "caption", "choices", "picture"),
        needed=("text", "aspect", "choices"),
    )
    built_in = replace(MultipleChoice.built_in, post="{text}\\n{aspect}\\n{picture}\\n{choices}")

    def values(self, example):
        return {**super().values(example), "aspect": example.aspect or ""}

    @classmethod
    def demo(cls, folder):
        row = {"text": "What is it?", "aspect": "a sound", "choices": ["an echo", "a bell"], "solution": "It returns."}
        return Demo(
            rows=[
                {"id": f"{split}-{number}", "split": split, **row, "label": "AB"[number % 2]}
                for split in ("train", "dev", "test") for number in range(4)
            ],
            chains=[{"id": "train-0", "cot": {"Prediction": "A"}}],
        )
'''

USE = """
import dataclasses, json, sys
from pathlib import Path
from mulcot.evaluation.ask_model import EvaluationSet
from mulcot.evaluation.references import Reference
from mulcot.evaluation.scoring import Scorer
from mulcot.export.card import write_card
from mulcot.multimodal_cot.lettered_question import ask
from mulcot.metrics.chains import ChainScorer
from mulcot.predict.base import Predictor
from mulcot.recipe import load_recipe
from mulcot.records import Prediction
from mulcot.report.terms import words_of
from mulcot.serving.app import build
from mulcot.serving.settings import Serving
from mulcot.cli.starting import write_starter_folder
from mulcot.tasks.base import tasks

folder = Path(sys.argv[1])
task = tasks.get("riddles")()


class Riddler(Predictor):
    file, task = "none", task
    _open = identity = predict = stream = prepare = stream_batch = None


page = build(Riddler(), Serving()).app.state.info["task"]
write_starter_folder(folder / "posts", "riddles")
write_starter_folder(folder / "pair", "riddles", "multimodal-cot")
starts = [(folder / name).read_text("utf-8").splitlines()[0] for name in ("posts/posts.jsonl", "pair/questions.jsonl")]
examples = tuple(dataclasses.replace(task.sample(), id=str(n), label=label) for n, label in enumerate("AABB"))
chain = task.write_chain({"Reasoning": "It returns.", "Prediction": "A"})
answers = [Prediction(id=e.id, label="A", probabilities={}, chain=chain, chain_label="A") for e in examples]
references = {e.id: Reference(f"Reason {e.label}.", "human") for e in examples}
scores = Scorer(task, ChainScorer(similarity=False)).score(
    "x", EvaluationSet("test", examples, None), answers, references=references
)
asked = ask(task, task.sample(), captions=False)
source = folder / "model"
source.mkdir()
(source / "backbone.json").write_text(json.dumps({"name": "tiny", "size": "student"}), "utf-8")
(folder / "card").mkdir()
write_card(folder / "card", source, task, "adapter")
print(json.dumps({
    "page": page,
    "starts": [json.loads(row) for row in starts],
    "tasks": [load_recipe(folder / name / "recipe.yaml").recipe.task.name for name in ("posts", "pair")],
    "teacher": load_recipe(folder / "posts/recipe.yaml").recipe.teacher.backend.name,
    "accuracy": scores.labels.accuracy,
    "floors": {name: one["floor"] is not None for name, one in scores.overlap.items()},
    "options": asked.options,
    "words": words_of("riddles", "mulcot-rd").label,
    "card": (folder / "card/README.md").read_text("utf-8"),
}))
"""


def test_a_task_of_another_package_goes_every_way_without_an_edit(tmp_path: Path) -> None:
    (tmp_path / "riddling.py").write_text(ONE_FILE, "utf-8")
    info = tmp_path / "riddling-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: riddling\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mulcot.tasks]\nriddles = riddling\n")
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["page"]["labels"] == [], "letters stand for choices; there is nothing to list"
    assert found["page"]["needs"] == {"aspect": True, "context": False, "choices": True, "caption": False}
    assert found["page"]["required"] == ["text", "aspect", "choices"]
    assert found["tasks"] == ["riddles", "riddles"]
    assert found["teacher"] == "imported"
    posts, pair = found["starts"]
    assert (posts["text"], "solution" in posts) == ("What is it?", False)
    assert (pair["question"], pair["answer"], pair["solution"]) == ("What is it?", "A", "It returns.")
    assert found["accuracy"] == 0.5
    assert set(found["floors"].values()) == {True}
    assert found["options"] == ["first choice", "second choice"]
    assert found["words"] == "answer"
    assert "the thing" in found["card"] and "(B) second choice" in found["card"]
    assert "always answers with one of" not in found["card"]
