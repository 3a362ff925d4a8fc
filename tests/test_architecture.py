"""The rules of the architecture, as tests: who may import whom, how large a file may grow, what README says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

import forked

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "mulcot"

LAYERS: list[set[str]] = [
    {"version", "errors"},
    {"records", "extras"},
    {"settings"},
    {"registry", "rundir", "media", "text", "progress", "provenance", "yamltree"},
    {"plugin", "world", "features", "methods"},
    {"tasks"},
    {"datasets", "backbones", "metrics"},
    {"teacher", "objectives", "extractors"},
    {"training", "predict"},
    {"multimodal_cot"},
    {"evaluation", "open_predictor", "tiny"},
    {"report", "export"},
    {"stages", "serving"},
    {"recipe", "data_requirements", "fingerprints"},
    {"pipeline"},
    {"cli"},
    {"__main__", "__init__"},
]
"""A package may import itself and packages of earlier lines, never a neighbour on its own line."""

CORE_WITHOUT_TORCH = {
    "cli", "pipeline", "recipe", "data_requirements", "fingerprints", "methods", "report",
    "metrics", "tasks", "datasets", "teacher", "world", "media",
    "text", "progress", "provenance", "yamltree", "rundir", "registry", "plugin", "settings", "records", "errors",
    "extras", "version", "features", "export.data", "stages.dataset", "stages.teacher", "stages.report",
    "predict.model_folders",
}  # fmt: skip

MAX_FILE, MAX_FUNCTION, MAX_ARGUMENTS = 400, 60, 7
NO_NAME = {"utils", "util", "helpers", "common", "misc"}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    assert len(found) > 30, "the walk must see the whole package"
    return found


MODULES = modules()


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text("utf-8"))


def none_of(offenders: Iterable[str]) -> None:
    """Fails with all of them, so that one run of the tests is enough to mend them."""
    found = list(offenders)
    assert not found, "\n".join(["", *found])


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


def imported_modules(module: str) -> set[str]:
    return {target for _, target in imports(parsed(module))}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_imports_point_downward() -> None:
    none_of(
        f"{module} imports {target}, which is not below it"
        for module in MODULES
        for target in sorted(imported_modules(module))
        if room(target) not in (room(module), "__version__") and layer(room(target)) >= layer(room(module))
    )


def test_the_lines_name_every_room_once() -> None:
    assert sorted(name for names in LAYERS for name in names) == sorted({room(module) for module in MODULES})


def test_a_stage_never_imports_a_stage() -> None:
    stages = {
        module
        for module in MODULES
        if room(module) == "stages" and "@stages.register(" in MODULES[module].read_text("utf-8")
    }
    assert len(stages) > 8, "every stage registers itself"
    found = {
        f"{module} imports {target}"
        for module in MODULES
        if room(module) == "stages"
        for target in (imported_modules(module) & stages) - {module}
    }
    none_of(sorted(found))


def test_modules_of_one_room_do_not_import_each_other_in_circles() -> None:
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        for node in parsed(module).body:
            if isinstance(node, ast.If):  # TYPE_CHECKING
                continue
            for _, target in imports(node):
                if target in MODULES and target != module and not module.startswith(target + "."):
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


def test_own_modules_are_imported_at_the_top() -> None:
    # But for the command line, which starts fast, and the settings of heavy rooms, which are read without torch.
    late = ("cli", "backbones", "extractors", "stages")
    none_of(
        f"{module}.{function.name} imports {target}"
        for module in MODULES
        if not module.startswith(late)
        for function in functions(parsed(module))
        for _, target in imports(function)
    )


def test_a_room_stays_small() -> None:
    none_of(fault for module in MODULES for fault in too_large(module))


def too_large(module: str) -> Iterator[str]:
    path = MODULES[module]
    lines = path.read_text("utf-8").count("\n")
    if lines > MAX_FILE:
        yield f"{path} has {lines} lines"
    if not ast.get_docstring(parsed(module)):
        yield f"{path} does not say what it is"
    if path.stem in NO_NAME:
        yield f"{path} could hold anything"
    for function in functions(parsed(module)):
        length = (function.end_lineno or 0) - function.lineno + 1
        arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in ("self", "cls")]
        if length > MAX_FUNCTION:
            yield f"{path}: {function.name} has {length} lines"
        if len(arguments) > MAX_ARGUMENTS and not room(module).startswith("cli"):
            yield f"{path}: {function.name} has {len(arguments)} arguments"


def test_only_the_command_line_prints_or_exits() -> None:
    none_of(
        f"{module} calls {node.func.id}()"
        for module in MODULES
        if not room(module).startswith(("cli", "__main__"))
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in ("exit", "quit")
        or (node.func.id == "print" and not any(keyword.arg == "file" for keyword in node.keywords))
    )


FORBIDDEN = re.compile(
    r"\bpickle\.loads?\(|\btorch\.load\(|trust_remote_code\s*=\s*True|yaml\.(load|unsafe_load)\(|\beval\((?!\))|\bexec\("
)


def test_nothing_loads_pickles_or_runs_code_from_outside() -> None:
    none_of(
        f"{module}: {line.strip()}"
        for module, path in MODULES.items()
        for line in path.read_text("utf-8").splitlines()
        if FORBIDDEN.search(line) and ".eval(" not in line
    )


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_works_without_torch() -> None:
    core = [m for m in MODULES if room(m) in CORE_WITHOUT_TORCH or m in CORE_WITHOUT_TORCH]
    assert len(core) > 25
    blocked = "import sys\nfor name in ('torch', 'transformers', 'peft', 'accelerate'): sys.modules[name] = None\n"
    run_python(blocked + "import " + ", ".join(f"mulcot.{module}" for module in core if module != "__init__"))


def test_help_and_import_stay_light() -> None:
    heavy = "{'torch', 'numpy', 'PIL', 'pydantic', 'pyarrow', 'aiohttp', 'jinja2', 'yaml'}"
    assert run_python(f"import sys, mulcot, mulcot.cli; print({heavy} & set(sys.modules))").strip() == "set()"


def test_everything_generated_is_current() -> None:
    done = forked.run(str(ROOT / "tools" / "generated.py"), "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_shipped_recipe_is_valid_or_lacks_only_data(monkeypatch: pytest.MonkeyPatch) -> None:
    from mulcot.recipe import load_recipe

    recipes = sorted((ROOT / "recipes").rglob("*.yaml"))
    assert recipes
    for name in ("DATA", "MODELS"):
        monkeypatch.setenv(name, "/nonexistent")
    for path in recipes:
        assert load_recipe(path).recipe.version == 1
