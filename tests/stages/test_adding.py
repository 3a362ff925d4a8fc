"""Adding a stage is its own file and a place in a method: shown with a package that no other file knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGE = '''
"""How many words the examples have."""

from mulcot.methods import Method, Step, register
from mulcot.records import Example, read_lines
from mulcot.rundir import write_json
from mulcot.stages.base import Need, Stage, stages


@stages.register("count_words")
class CountWords(Stage):
    """Counts."""

    about = "What is counted."
    at_least: int = 1
    """Letters of a word."""

    def needs(self):
        seen = Need("features", "at_least", "looks at pictures: add features")
        return (Need("dataset"), seen) if self.at_least > 9 else (Need("dataset"),)

    def run(self, job):
        texts = [example.text for example in read_lines(job.before["dataset"] / "examples.jsonl", Example)]
        words = sum(len(word) >= self.at_least for text in texts for word in text.split())
        write_json(job.folder / "words.json", words)
        return {"words": words}


register(
    Method(
        "counting",
        steps=(
            Step("dataset"),
            Step("features", optional=True),
            Step("count_words", did="counted"),
            Step("student", trains=True),
            Step("report"),
        ),
    )
)
'''

USE = """
import json, sys
from pathlib import Path
import yaml
from mulcot.cli.check import check
from mulcot.errors import RecipeError
from mulcot.pipeline import left_undone, run, status
from mulcot.progress import Reporter
from mulcot.recipe import json_schema, load_recipe
from mulcot.report.pages.report import write_report
from mulcot.report.run import read_run
from mulcot.media import Gallery, Store

folder, found = Path(sys.argv[1]), {}
recipe = folder / "recipe.yaml"
recipe.write_text(yaml.safe_dump({
    "version": 1, "method": "counting", "output": str(folder / "run"),
    "dataset": {"name": "synthetic", "train": 4, "dev": 2, "test": 2}, "count_words": {"at_least": 3},
}))

def refused(*overrides):
    try:
        load_recipe(recipe, list(overrides))
    except RecipeError as error:
        return str(error)

found["suggested"] = refused("count_words.at_leest=2")
found["unmet"] = refused("count_words.at_least=12")
found["unknown_method"] = refused("method=countin")
loaded = load_recipe(recipe)
found["problems"] = check(loaded, Reporter.silent()).problems
found["undone"] = left_undone(loaded.recipe).text
go = lambda: [(one.stage, one.skipped) for one in run(load_recipe(recipe), Reporter.silent())]
found["first"] = go()
(folder / "run/3-count_words").rename(folder / "run/7-count_words")
found["again"] = go()
found["status"] = [(name, state) for name, state, _ in status(folder / "run")]
gallery = Gallery(None, Store(folder / "run/1-dataset/pictures"))
write_report(folder / "run", gallery, folder / "page.html", number=2, seed=0)
found["page"] = "count_words" in (folder / "page.html").read_text("utf-8")
found["stages"] = list(read_run(folder / "run").stages)
found["schema"] = json_schema()["properties"]["count_words"]["description"]
print(json.dumps(found))
"""


def test_a_stage_of_another_package_joins_by_an_entry_point(tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(PACKAGE, "utf-8")
    info = tmp_path / "counting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mulcot.stages]\nwords = counting\n[mulcot.methods]\nwords = counting\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "recipe.yaml" in found["suggested"] and "Did you mean 'at_least'?" in found["suggested"]
    assert "count_words.at_least: looks at pictures: add features" in found["unmet"]
    assert "'mulcot-rd', 'multimodal-cot' or 'counting'" in found["unknown_method"]
    assert found["problems"] == []
    assert found["undone"].endswith("no section 'student', so a run ends after count_words")
    assert found["first"] == [["dataset", False], ["count_words", False]]
    assert found["again"] == [["dataset", True], ["count_words", True]], "whatever its number"
    assert found["status"] == [["1-dataset", "finished"], ["7-count_words", "finished"]]
    assert found["page"]
    assert found["stages"] == ["dataset", "count_words"]
    assert found["schema"] == "What is counted."
