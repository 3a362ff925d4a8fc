"""The command line: one short function per command, heavy imports inside, so that `--help` is immediate."""

from __future__ import annotations

import errno
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mulcot.cli import compare as cli_compare
from mulcot.cli import data as cli_data
from mulcot.cli import export as cli_export
from mulcot.cli import init as cli_init
from mulcot.cli import predict as cli_predict
from mulcot.cli import report as cli_report
from mulcot.cli import score as cli_score
from mulcot.cli import serve as cli_serve
from mulcot.cli import teacher as cli_teacher
from mulcot.cli import tiny as cli_tiny
from mulcot.errors import Interrupted, MulcotError, printable
from mulcot.extras import of_import
from mulcot.version import __version__

if TYPE_CHECKING:
    from mulcot.report.run import Run

app = typer.Typer(
    name="mulcot",
    help="Distil a large teacher into a small vision-language model that explains and classifies posts.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
recipe_app = typer.Typer(help="Show a recipe or its schema.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_teacher.app, name="teacher")
app.add_typer(cli_tiny.app, name="tiny")
app.add_typer(recipe_app, name="recipe")
app.command()(cli_init.init)
app.command(context_settings={"ignore_unknown_options": True})(cli_predict.predict)  # a choice may be -3
app.command()(cli_export.export)
app.command()(cli_score.score)
app.command()(cli_report.report)
app.command()(cli_compare.compare)
app.command()(cli_serve.serve)

RecipePath = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Overrides: key.path=value ...", metavar="KEY=VALUE")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mulcot {__version__}")
        raise typer.Exit


OUTSIDE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.EMFILE,
    errno.ENAMETOOLONG,
    errno.ENFILE,
    errno.ENOENT,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""What an operating system refuses without anybody's bug: no rights, no space, no such place."""

Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")]


@app.callback()
def _root(version: Version = False) -> None: ...


@app.command()
def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    first: Annotated[str | None, typer.Option("--from", metavar="STAGE", help="Start at this stage.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="STAGE", help="Stop after this stage.")] = None,
    only: Annotated[str | None, typer.Option(metavar="STAGE", help="Run this stage alone.")] = None,
) -> None:
    """Run a recipe, or continue it: finished stages are skipped."""
    from mulcot.pipeline import left_undone
    from mulcot.pipeline import run as run_pipeline
    from mulcot.progress import Reporter
    from mulcot.recipe import load_recipe
    from mulcot.report.run import read_run

    if only and (first or last):
        raise MulcotError("--only cannot be combined with --from or --to")
    loaded = load_recipe(recipe, overrides)
    outcomes = run_pipeline(loaded, Reporter.auto(), first=only or first, last=only or last)
    for outcome in outcomes:
        state = "unchanged" if outcome.skipped else f"{outcome.record.seconds:.1f} s"
        print(f"{outcome.stage:<12} {state:<12} {_counts(outcome.record.counts)}")
    if outcomes:  # a process that only helped has none to report
        found = read_run(loaded.folder)
        _show_results(found, {outcome.stage for outcome in outcomes})
        print(f"run folder: {loaded.folder}")
        for stage, text in found.warnings:
            print(f"warning: {stage}: {text}")
        undone = left_undone(loaded.recipe)
        if undone is not None and not (only or last):
            print(f"note: {undone.text}")
            print(f"      Add {undone.stage}, or ask with --to for what you want; `mulcot init` writes a whole recipe.")


def _show_results(run: Run, stages: set[str]) -> None:
    """The results in a few lines, and where the page is; only what this command has made or found."""
    from mulcot.report.results import rows

    if "evaluate" in stages and run.scores is not None:
        f1 = "macro_f1" in run.words.measures
        print(f"\n{'set':<10} {'model':<28} {'accuracy (95 %)':>24}{'  macro F1' if f1 else ''}")
        for name, found in run.scores.sets.items():
            for row in rows(found):
                accuracy = row.values["accuracy"]
                interval = f" ({accuracy.low:.1%} to {accuracy.high:.1%})" if accuracy.low is not None else ""
                shown = f"{accuracy.value:.1%}{interval}"
                beside = f" {row.values['macro_f1'].value:>9.1%}" if f1 else ""
                print(f"{name:<10} {row.title:<28} {shown:>24}{beside}")
        print()
    page = run.file("report", "report.html") if "report" in stages else None
    if page is not None:
        print(f"report:     {page}")


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which stages of a run are finished."""
    import json

    from mulcot.pipeline import status as run_status

    stages = run_status(folder)
    if as_json:
        rows = [{"name": n, "state": state, **({"record": r.to_json()} if r else {})} for n, state, r in stages]
        print(json.dumps({"stages": rows}, indent=2))
        return
    for name, state, record in stages:
        detail = f"{record.started}  {record.seconds:.1f} s  {_counts(record.counts)}" if record else ""
        print(f"{name:<16} {state:<12} {detail}".rstrip())
        for text in record.warnings if record else ():
            print(f"  warning: {text}")


@app.command()
def check(recipe: RecipePath, overrides: Overrides = None) -> None:
    """Find everything wrong with a recipe and its data before money or GPU time is spent."""
    from mulcot.cli.check import check as check_recipe
    from mulcot.progress import Reporter
    from mulcot.recipe import load_recipe

    verdict = check_recipe(load_recipe(recipe, overrides), Reporter.auto())
    for problem in verdict.problems:
        print(f"error    {problem}")
    for note in verdict.notes:
        print(f"note     {note}")
    findings = verdict.statistics.findings() if verdict.statistics else []
    for finding in findings:
        print(f"{finding.level:<8} {finding.message}\n         {finding.advice}")
    failed = bool(verdict.problems) or any(finding.level == "error" for finding in findings)
    undone = verdict.undone
    if undone is not None:
        print(f"note     {undone.text}")
    ready = "ready, but it trains nothing" if undone is not None and not undone.trains else "ready"
    print("not ready" if failed else ready)
    raise typer.Exit(1 if failed else 0)


@recipe_app.command("schema")
def recipe_schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    import json

    from mulcot.recipe import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@recipe_app.command("show")
def recipe_show(recipe: RecipePath, overrides: Overrides = None) -> None:
    """Print the resolved recipe, variables unexpanded."""
    from mulcot.recipe import load_recipe

    print(load_recipe(recipe, overrides).text, end="")


@app.command("list")
def list_plugins(
    family: Annotated[str | None, typer.Argument(help="A family, such as datasets or tasks; by default all.")] = None,
) -> None:
    """List the registered plug-ins."""
    from mulcot.cli.families import FAMILIES
    from mulcot.errors import UnknownName

    if family is not None and family not in FAMILIES:
        raise UnknownName("family", family, FAMILIES)
    for name, registry in FAMILIES.items():
        if family in (None, name):
            print(name)
            for plugin in registry:
                print(f"  {plugin.name:<20} {(plugin.__doc__ or '').strip().splitlines()[0]}")


@app.command()
def doctor() -> None:
    """Show versions, hardware, and anything about this installation that will not work."""
    from mulcot.cli.doctor import inspect_installation

    for line in inspect_installation():
        print(line)


def _counts(counts: dict[str, object]) -> str:
    return "  ".join(f"{key} {value}" for key, value in counts.items())


def main() -> None:
    """Runs the command; errors a person can cause end in two lines, error and hint, not in a traceback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unlike the default it lets files be tidied up
    try:
        app(standalone_mode=True)
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(130)
    except MulcotError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except ImportError as error:
        if (lacking := of_import(error)) is None:
            raise
        print(f"error: {lacking}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in OUTSIDE:
            raise
        place = f": {error.filename}" if error.filename else ""
        print(f"error: {printable(f'{error.strerror}{place}')}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as stop:
        if stop.code == 130:  # typer's exit after Ctrl-C
            print("interrupted; run the same command again to go on", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
