"""`mulcot teacher ...`: what it will cost, how it went, reading and rating its chains, and a simulated one to try."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mulcot.errors import MulcotError, StageMissing

if TYPE_CHECKING:
    from mulcot.recipe import Loaded
    from mulcot.rundir import StageFolder

app = typer.Typer(help="Estimate the teacher's cost, summarise its results, review its chains.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunPath = Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")]


@app.command()
def estimate(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Overrides: key.path=value ...", metavar="KEY=VALUE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what the teacher will cost. Runs the dataset stage if needed, and asks the teacher nothing."""
    from mulcot.pipeline import run
    from mulcot.progress import Reporter
    from mulcot.recipe import load_recipe
    from mulcot.rundir import RunFolder
    from mulcot.stages.base import Job
    from mulcot.stages.teacher import TeacherStage

    loaded = load_recipe(recipe, overrides)
    chosen = loaded.recipe
    stage = chosen.stage("teacher")
    if not isinstance(stage, TeacherStage):
        raise MulcotError(f"{recipe} has no section teacher", hint="See docs/teacher.md.")
    reporter = Reporter.auto()
    run(loaded, reporter, last="dataset")
    plan, folder = chosen.plan, RunFolder(loaded.folder)
    before = {"dataset": folder.stage(plan.number("dataset"), "dataset")}
    own = folder.stage(plan.number("teacher"), "teacher")
    job = Job(folder=own, before=before, task=chosen.task, dataset=chosen.dataset, seed=chosen.seed, reporter=reporter)
    found = stage.estimate(job)
    print(json.dumps(found.to_json(), indent=2) if as_json else "\n".join(found.lines(stage.prices)))


@app.command()
def summary(folder: RunPath, as_json: AsJson = False) -> None:
    """Show again how the teacher stage of a run went."""
    from mulcot.teacher.labelling.summary import summary_lines

    found = json.loads((_teacher(folder) / "summary.json").read_text("utf-8"))
    print(json.dumps(found, indent=2) if as_json else "\n".join(summary_lines(found)))


@app.command()
def review(
    folder: RunPath,
    out: Annotated[Path, typer.Option("--out", help="The HTML file to write.", metavar="FILE")],
    number: Annotated[int, typer.Option(min=1, max=2000, help="How many examples to show.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed that decides which examples are shown.")] = 0,
) -> None:
    """Write a page to read chains next to their posts and to rate them; self-contained, works offline."""
    from mulcot.media import Gallery, Store
    from mulcot.progress import Reporter
    from mulcot.report.pages.review import ReviewFolders, write_review

    teacher, dataset = _teacher(folder), _stage(folder, "dataset")
    source = _recipe(folder).recipe.dataset
    gallery = Gallery(source.picture_root(), Store(dataset / "pictures"), source.images_limit)
    folders = ReviewFolders(name=folder.resolve().name, dataset=dataset.path, teacher=teacher.path)
    shown = write_review(folders, gallery, out, number=number, seed=seed, reporter=Reporter.auto())
    print(f"{shown} examples: {out}")


@app.command()
def ratings(
    files: Annotated[list[Path], typer.Argument(help="Files that the review page saved.", metavar="FILE...")],
    as_json: AsJson = False,
) -> None:
    """Summarise ratings by hand: means, counts, and how far several raters agree."""
    from mulcot.teacher.labelling.ratings import read_ratings, summarise, summary_lines

    found = summarise(read_ratings(files))
    print(json.dumps(found, indent=2) if as_json else "\n".join(summary_lines(found)))


@app.command()
def simulate(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="Options of the simulated teacher: skill=0.8 mistakes.leak=0.1", metavar="KEY=VALUE"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free port.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    key_env: Annotated[
        str | None, typer.Option(help="Require the API key in this environment variable.", metavar="NAME")
    ] = None,
) -> None:
    """Serve a simulated teacher that answers about synthetic posts, to try everything without a key or a bill."""
    from mulcot.recipe import build_plugin, parse_assignments
    from mulcot.teacher.backends.simulated import Simulated, serve
    from mulcot.teacher.base import teachers

    options = {**parse_assignments(words or []), "name": Simulated.name}
    teacher = build_plugin(teachers, options, "teacher simulate")
    assert isinstance(teacher, Simulated)
    serve(teacher.simulation(), host, port, key_env, lambda text: print(text, flush=True))


def _teacher(folder: Path) -> StageFolder:
    """The teacher stage; also one that came to its end with too few chains, which is when they are worth reading."""
    return _stage(folder, "teacher", written="summary.json")


def _stage(folder: Path, name: str, written: str = "stage.json") -> StageFolder:
    """A stage of a run that has come as far as this file."""
    from mulcot.rundir import RunFolder

    stage = RunFolder(folder).named().get(name)
    if stage is None:
        raise StageMissing(f"{folder} has no stage {name}", hint="Run it first: `mulcot run RECIPE`.")
    if not (stage / written).exists():
        stage.finished()
    return stage


def _recipe(folder: Path) -> Loaded:
    from mulcot.recipe import load_recipe

    return load_recipe(folder / "recipe.yaml")
