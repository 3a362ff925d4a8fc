"""The rules of the house, as tests: who may import whom, how large a room may grow, what is true in the README."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "mulcot"

LAYERS: list[set[str]] = [
    {"version", "errors"},
    {"records", "extras"},
    {"settings"},
    {"registry", "rundir", "media", "text", "progress", "provenance", "yamltree", "encoded"},
    {"plugin", "world", "features"},
    {"tasks"},
    {"datasets", "teachers", "backbones", "objectives", "metrics"},
    {"statistics", "teaching", "inference", "extractors"},
    {"fusion"},
    {"formats"},
    {"training"},
    {"predicting"},
    {"evaluating"},
    {"reporting"},
    {"pages", "export", "tiny"},
    {"stages"},
    {"recipe", "families", "lacking"},
    {"pipeline"},
    {"check", "doctor", "starting"},
    {
        "serving",
        "cli_data",
        "cli_teacher",
        "cli_tiny",
        "cli_score",
        "cli_predict",
        "cli_init",
        "cli_export",
        "cli_compare",
        "cli_report",
    },
    {"cli_serve"},
    {"cli"},
    {"__main__", "__init__"},
]
"""A room may import itself and rooms of earlier lines, never a neighbour on its own line."""

CORE_WITHOUT_TORCH = {
    "cli", "cli_data", "cli_teacher", "cli_tiny", "check", "doctor", "lacking", "pipeline", "recipe", "families",
    "pages", "statistics", "metrics", "cli_score",
    "tasks", "datasets", "teachers", "teaching", "world", "media", "text", "progress", "provenance", "yamltree",
    "rundir", "cli_predict", "cli_init", "starting", "cli_export",
    "registry", "plugin", "settings", "records", "errors", "extras", "version", "features", "export.data",
    "stages.dataset", "stages.teacher", "reporting", "stages.report", "cli_compare", "cli_report",
}  # fmt: skip

MAX_FILE, MAX_FUNCTION, MAX_ARGUMENTS = 400, 60, 7


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path))
    assert len(found) > 30, "the walk must see the whole package"
    return found


MODULES = modules()


def room(module: str) -> str:
    return module.split(".")[0]


def layer(name: str) -> int:
    levels = [level for level, rooms in enumerate(LAYERS) if name in rooms]
    assert len(levels) == 1, f"{name} must stand on exactly one line of LAYERS"
    return levels[0]


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mulcot":
            module = (node.module or "").partition(".")[2]
            for alias in node.names:
                yield node, module or alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "mulcot":
                    yield node, alias.name.partition(".")[2]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[module for module, _ in MODULES])
def test_imports_point_downward(module: str, path: Path) -> None:
    own = room(module)
    for _, target in imports(ast.parse(path.read_text("utf-8"))):
        other = room(target)
        if other not in (own, "__version__"):
            assert layer(other) < layer(own), f"{module} imports {target}, which is not below it"


def test_modules_of_one_room_do_not_import_each_other_in_circles() -> None:
    known = {module for module, _ in MODULES}
    graph: dict[str, set[str]] = {}
    for module, path in MODULES:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.If):  # TYPE_CHECKING
                continue
            for _, target in imports(node):
                if target in known and target != module and not module.startswith(target + "."):
                    graph.setdefault(module, set()).add(target)
    visiting: list[str] = []
    done: set[str] = set()

    def visit(module: str) -> None:
        assert module not in visiting, f"circle: {' -> '.join([*visiting, module])}"
        if module in done:
            return
        visiting.append(module)
        for target in graph.get(module, ()):
            visit(target)
        visiting.pop()
        done.add(module)

    for module in graph:
        visit(module)
    assert done


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[module for module, _ in MODULES])
def test_own_modules_are_imported_at_the_top(module: str, path: Path) -> None:
    if room(module).startswith("cli") or module.startswith(("backbones", "extractors", "stages")):
        return  # the command line starts fast; settings of heavy rooms are readable without torch
    tree = ast.parse(path.read_text("utf-8"))
    for function in functions(tree):
        inside = [target for _, target in imports(function)]
        assert not inside, f"{module}.{function.name} imports {inside}"


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[module for module, _ in MODULES])
def test_a_room_stays_small(module: str, path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= MAX_FILE, f"{path} is too long"
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path} does not say what it is"
    for function in functions(tree):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= MAX_FUNCTION, f"{path}: {function.name} has {length} lines"
        arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in ("self", "cls")]
        if not room(module).startswith("cli"):
            assert len(arguments) <= MAX_ARGUMENTS, f"{path}: {function.name} has {len(arguments)} arguments"


def test_only_the_command_line_prints_or_exits() -> None:
    for module, path in MODULES:
        if room(module).startswith(("cli", "__main__")):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                to_a_stream = any(keyword.arg == "file" for keyword in node.keywords)
                assert node.func.id not in ("exit", "quit"), f"{module} exits"
                assert node.func.id != "print" or to_a_stream, f"{module} prints"


FORBIDDEN = re.compile(
    r"\bpickle\.loads?\(|\btorch\.load\(|trust_remote_code\s*=\s*True|yaml\.(load|unsafe_load)\(|\beval\((?!\))|\bexec\("
)


def test_nothing_loads_pickles_or_runs_code_from_outside() -> None:
    for module, path in MODULES:
        for line in path.read_text("utf-8").splitlines():
            found = FORBIDDEN.search(line)
            assert not found or ".eval(" in line, f"{module}: {line.strip()}"


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_works_without_torch() -> None:
    core = [m for m, _ in MODULES if room(m) in CORE_WITHOUT_TORCH or m in CORE_WITHOUT_TORCH]
    assert len(core) > 25
    blocked = "import sys\nfor name in ('torch', 'transformers', 'peft', 'accelerate'): sys.modules[name] = None\n"
    run_python(blocked + "import " + ", ".join(f"mulcot.{module}" for module in core if module != "__init__"))


def test_help_and_import_stay_light() -> None:
    heavy = "{'torch', 'numpy', 'PIL', 'pydantic', 'pyarrow', 'aiohttp', 'jinja2', 'yaml'}"
    assert run_python(f"import sys, mulcot, mulcot.cli; print({heavy} & set(sys.modules))").strip() == "set()"


def test_everything_generated_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "generated.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_shipped_recipe_is_valid_or_lacks_only_data(monkeypatch: pytest.MonkeyPatch) -> None:
    from mulcot.recipe import load_recipe

    recipes = sorted((ROOT / "recipes").rglob("*.yaml"))
    assert recipes
    for name in ("DATA", "MODELS"):
        monkeypatch.setenv(name, "/nonexistent")
    for path in recipes:
        assert load_recipe(path).recipe.version == 1
