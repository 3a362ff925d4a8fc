"""CONTRIBUTING's examples are true: each is run, and those of a family pass the family's own contract test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from mulcot.datasets.base import datasets
from mulcot.progress import Reporter
from mulcot.records import Example
from mulcot.rundir import StageFolder
from mulcot.stages.base import Job
from mulcot.tasks.base import tasks

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"^### (.+?)\n(?:(?!^###).)*?^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
CONTRACTS = {
    "A dataset": ("tests/datasets/test_contract.py", "folders", ""),
    "A teacher": ("tests/teacher/test_contract.py", "program", ""),
    "A backbone family": ("tests/backbones/test_contract.py", "local_qwen", ""),
    "An export format": (
        "tests/export/test_data.py",
        "llava or back_as_the_same_examples and (mvsa or scienceqa)",
        'from mulcot.export.writers import FORMS\n\nFORMS["llava"] = Llava\n',
    ),
}
"""A contract test, which of its cases are about the example, and what joins the example to its family."""


def test_there_is_one_example_of_each_and_it_is_short() -> None:
    assert list(EXAMPLES) == [*list(CONTRACTS)[:3], "An objective", "An export format", "A metric", "A stage"]
    assert max(code.count("\n") for code in EXAMPLES.values()) <= 60


@pytest.mark.parametrize("title", CONTRACTS)
def test_the_example_keeps_the_contract_of_its_family(title: str, tmp_path: Path) -> None:
    contract, cases, joining = CONTRACTS[title]
    (tmp_path / "of_contributing.py").write_text(EXAMPLES[title] + joining, "utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "of_contributing", "-p", "no:cacheprovider", contract, "-k", cases],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def module(title: str) -> ModuleType:
    """An example that registers nothing, or whose class is used without its name."""
    made = ModuleType("of_contributing")
    exec(compile(EXAMPLES[title], f"CONTRIBUTING.md, {title}", "exec", dont_inherit=True), made.__dict__)
    return made


def test_the_divergence_is_one() -> None:
    measure = module("An objective").total_variation
    torch.manual_seed(0)
    teacher, student = torch.randn(5, 7).log_softmax(-1), torch.randn(5, 7).requires_grad_()
    found = measure(teacher, student.log_softmax(-1))
    assert ((found > 0) & (found < 1)).all()
    assert measure(teacher, teacher).abs().max() == 0
    found.sum().backward()
    assert student.grad is not None and student.grad.isfinite().all()


def test_the_metric_is_one() -> None:
    measure = module("A metric").length_ratio
    assert measure(["a"], ["a", "b"]) == 0.5
    assert measure(["a"], []) == 0


def test_the_stage_does_its_work(tmp_path: Path) -> None:
    before = StageFolder(tmp_path / "1-dataset")
    before.path.mkdir()
    posts = [Example(id=str(n), split="train", text="word " * n) for n in (1, 3)]
    (before / "examples.jsonl").write_text("".join(post.to_line() for post in posts), "utf-8")
    job = Job(
        folder=StageFolder(tmp_path / "2-lengths"), before={"dataset": before}, task=tasks.get("sentiment")(),
        dataset=datasets.get("synthetic")(), seed=0, reporter=Reporter.silent(),
    )  # fmt: skip
    job.folder.path.mkdir()
    assert module("A stage").LengthsStage(long=2).run(job) == {"posts": 2, "long": 1}
    assert (job.folder / "lengths.json").is_file()


ASK = """
import asyncio, json, sys
from of_contributing import Program
from mulcot.teacher.base import CallError, Request
from mulcot.teacher.transport.images import Picture

async def main():
    teacher = Program(command=(sys.executable, "-c", sys.argv[1]))
    async with teacher.session() as session:
        request = Request(system="s", user="u", pictures=(Picture.of_jpeg(b"jpeg"),))
        try:
            print((await session.complete(request)).text)
        except CallError as error:
            print("no reply:", error.message.partition(" ")[2])

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("import json, sys; asked = json.load(sys.stdin); print(asked['user'], len(asked['pictures']))", "u 1"),
        ("raise SystemExit(3)", "no reply: ended with exit status 3"),
    ],
)
def test_the_teacher_answers(program: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "of_contributing.py").write_text(EXAMPLES["A teacher"], "utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-c", ASK, program],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == expected, done.stderr


def test_every_file_that_is_named_exists() -> None:
    made = set(re.findall(r"`(src/[\w/]+\.py)`:$", TEXT, re.MULTILINE)) | {"tests/metrics/test_length_ratio.py"}
    named = re.findall(r"`((?:src|tests|tools|docs)/[\w/]+(?:\.\w+|/))`", TEXT)
    assert len(named) > 15
    assert [name for name in named if name not in made and not (ROOT / name).exists()] == []
