"""Writes the generated parts of the docs: `make docs`. With `--check`, fails where a page is outdated.

A page holds `<!-- generated: NAME -->` ... `<!-- end generated -->`; what stands between is made by GENERATORS[NAME].
FILES are generated as a whole.
"""

from __future__ import annotations

import ast
import json
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic_core import PydanticUndefined

from mulcot.cli.families import FAMILIES
from mulcot.evaluation.scores import Scores
from mulcot.recipe import recipe_class
from mulcot.settings import Settings
from mulcot.stages.evaluate_questions import EvaluateQuestionsStage
from mulcot.training.settings import Training
from mulcot.world.tables import TABLES

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "mulcot"

BLOCK = re.compile(r"(<!-- generated: ([\w:.-]+) -->\n).*?(<!-- end generated -->)", re.DOTALL)


def command_line() -> str:
    """Every command's help page, as the command itself prints it."""
    from typer.main import get_command

    from mulcot.cli import app

    return "\n".join(_help_pages(get_command(app), "mulcot"))


def _help_pages(command: Any, path: str) -> Iterator[str]:
    from typer.testing import CliRunner

    from mulcot.cli import app

    arguments = path.split()[1:]
    result = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "100", "TERM": "dumb"}, prog_name="mulcot")
    text = "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())
    yield f"## `{path}`\n\n```text\n{text}\n```\n"
    for name, child in getattr(command, "commands", {}).items():
        yield from _help_pages(child, f"{path} {name}")


def plugins(family: str) -> str:
    """One line per plug-in of a family."""
    lines = [f"- `{cls.name}`: {_first_line(cls)}" for cls in FAMILIES[family]]
    return "\n".join(lines) + "\n"


def options(name: str) -> str:
    """The options of a plug-in, `family.name`, or of those below one of its options, `family.name.option`."""
    family, plugin, *below = name.split(".")
    cls = FAMILIES[family].get(plugin)
    for option in below:
        cls = type(cls.model_fields[option].get_default())
    return options_table(cls)


def section(name: str) -> str:
    """The options of a recipe section, `teacher`, or of those below one of its options, `teacher.retry`."""
    cls: type[Settings] = recipe_class()
    for option in name.split("."):
        annotation = cls.model_fields[option].annotation
        parts = (annotation, *get_args(annotation))
        cls = next(part for part in parts if isinstance(part, type) and issubclass(part, Settings))
    return options_table(cls)


def evaluate_questions() -> str:
    """The options of `evaluate` where the method is multimodal-cot."""
    return options_table(EvaluateQuestionsStage)


def schedules() -> str:
    """The options of every schedule."""
    kinds = get_args(Training.model_fields["schedule"].annotation)
    return "\n".join(
        f"`{kind.model_fields['kind'].default}`: {_first_line(kind)}\n\n{options_table(kind)}" for kind in kinds
    )


def options_table(cls: type[Settings]) -> str:
    """The fields of a settings class: name, default, meaning."""
    rows = ["| option | default | meaning |", "| --- | --- | --- |"]
    for key, info in cls.model_fields.items():
        default = info.get_default(call_default_factory=True, validated_data={})
        shown = "needed" if default is PydanticUndefined else f"`{_plain(default)}`"
        rows.append(f"| `{key}` | {shown} | {' '.join((info.description or '').split())} |")
    return "\n".join(rows) + "\n"


def _plain(default: Any) -> Any:
    if isinstance(default, Settings):
        return "see " + type(default).__name__
    return "null" if default is None else default


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]


def tree() -> str:
    """The packages and modules, each with the first sentence of its own docstring."""
    lines = ["```text", "src/mulcot/"]
    for path in sorted(SOURCE.iterdir(), key=lambda path: path.name):
        file = path / "__init__.py" if path.is_dir() else path
        if path.name.startswith("_") or not file.is_file() or file.suffix != ".py":
            continue
        docstring = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
        first = re.split(r"(?<=[.:])\s", " ".join(docstring.split("\n\n")[0].split()) + " ")[0].rstrip(":")
        lines.append(f"    {path.name + ('/' if path.is_dir() else ''):<15} {first}")
    return "\n".join([*lines, "```"]) + "\n"


def published(table: str) -> str:
    """A table of docs/real-models.md."""
    made: str = runpy.run_path(str(ROOT / "tools" / "published_runs.py"))[table]()
    return made


def world(table: str) -> str:
    """A table of docs/world.md, from the world's own data."""
    return TABLES[table]()


def recipe_keys() -> str:
    """The top level of a recipe."""
    return options_table(recipe_class()).replace("| `task` | needed |", "| `task` | the dataset's |")


def layers() -> str:
    """Who may import whom: the test's own table."""
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text("utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "LAYERS"]
    lines: list[set[str]] = ast.literal_eval(found[0].value) if found and found[0].value else []
    rows = ["| line | packages and modules |", "| --- | --- |"]
    for number, rooms in enumerate(lines, 1):
        rows.append(f"| {number} | " + ", ".join(f"`{room}`" for room in sorted(rooms)) + " |")
    return "\n".join(rows) + "\n"


def benchmarks() -> str:
    """Every kept benchmark result: its figures, when and where they were measured."""
    lines = ["| benchmark | measured | date | commit | machine |", "| --- | --- | --- | --- | --- |"]
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        kept = json.loads(path.read_text("utf-8"))
        made = kept["provenance"]
        figures = ", ".join(f"`{key}` {_short(value)}" for key, value in kept["result"].items() if _is_figure(value))
        machine = f"{made['cores']} cores, {made['memory_gib']} GiB"
        link = f"[{path.stem}](../benchmarks/{path.stem}.py)"
        lines.append(f"| {link} | {figures} | {kept['when']} | `{made['commit']}` | {machine} |")
    return "\n".join(lines) + "\n"


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def results(name: str) -> str:
    """The models of an experiment: mean accuracy over its seeds, and the range."""
    runs = json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text("utf-8"))["runs"]
    sets = list(runs[0]["sets"])
    lines = ["| accuracy | " + " | ".join(f"`{each}`" for each in sets) + " |", "| --- |" + " --- |" * len(sets)]
    titles = {
        "student": "**student**",
        "without_distillation": "the same model, trained on gold labels alone",
        "assistant": "assistant",
        "text_only": "student with grey pictures",
        "image_only": "student without words",
        "majority": "always the most frequent label",
    }
    for model, title in titles.items():
        cells = [_ranged([run["sets"][each][model]["accuracy"] for run in runs]) for each in sets]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def variants(only: str = "") -> str:
    """The variants of Multimodal-CoT: mean over the seeds and the range of accuracy and of true statements; all of
    them, or those in `only`, which are divided by dots.
    """
    found = json.loads((ROOT / "docs" / "results" / "synthetic_science.json").read_text("utf-8"))
    lines = ["| trained as | accuracy | statements that are true |", "| --- | --- | --- |"]
    for variant in only.split(".") if only else found["titles"]:
        title = found["titles"][variant]
        models = [run["variants"][variant]["models"]["answer"] for run in found["runs"] if variant in run["variants"]]
        cells = [_ranged([model[key] for model in models if key in model]) for key in ("accuracy", "true_statements")]
        lines.append(f"| {title} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"


def _ranged(values: list[float]) -> str:
    return f"{sum(values) / len(values):.1%} ({min(values):.1%} to {max(values):.1%})" if values else ""


GENERATORS: dict[str, Callable[..., str]] = {
    "benchmarks": benchmarks,
    "command-line": command_line,
    "evaluate-questions": evaluate_questions,
    "layers": layers,
    "options": options,
    "plugins": plugins,
    "published": published,
    "recipe-keys": recipe_keys,
    "results": results,
    "schedules": schedules,
    "section": section,
    "tree": tree,
    "variants": variants,
    "world": world,
}


def render(text: str) -> str:
    """The page with every generated block made anew."""

    def replace(match: re.Match[str]) -> str:
        name, _, argument = match.group(2).partition(":")
        return match.group(1) + GENERATORS[name](*([argument] if argument else [])) + match.group(3)

    return BLOCK.sub(replace, text)


def scores_schema() -> str:
    """The schema of `scores.json`."""
    return json.dumps(Scores.model_json_schema(), indent=2) + "\n"


FILES: dict[str, Callable[[], str]] = {"docs/scores.schema.json": scores_schema}


def main() -> int:
    """Writes or checks every page."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    stale, blocks = [], 0
    for page in pages:
        text = page.read_text("utf-8")
        blocks += len(BLOCK.findall(text))
        if (fresh := render(text)) != text:
            stale.append(page)
            if "--check" not in sys.argv:
                page.write_text(fresh, "utf-8")
    for name, generate in FILES.items():
        if (fresh := generate()) != (ROOT / name).read_text("utf-8"):
            stale.append(ROOT / name)
            if "--check" not in sys.argv:
                (ROOT / name).write_text(fresh, "utf-8")
    names = ", ".join(page.relative_to(ROOT).as_posix() for page in stale) or "none"
    done = "stale" if "--check" in sys.argv else "rewritten"
    sys.stdout.write(f"{blocks} generated blocks in {len(pages)} pages; {done}: {names}\n")
    return 1 if stale and "--check" in sys.argv else int(blocks == 0)


if __name__ == "__main__":
    sys.exit(main())
