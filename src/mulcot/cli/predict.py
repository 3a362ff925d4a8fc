"""`mulcot predict`: ask a trained model about one post, or about every row of a large file."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mulcot.errors import MulcotError, printable
from mulcot.extras import need

if TYPE_CHECKING:
    from mulcot.predict.base import Predictor
    from mulcot.records import Prediction, Rejected

HELP = "`mulcot predict --help` names all options."
File = Annotated[Path | None, typer.Option(metavar="FILE")]


def predict(
    model: Annotated[Path, typer.Option(help="A run folder, a stage folder or a model folder.", metavar="DIR")],
    more_choices: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    text: Annotated[str | None, typer.Option(help="The post.")] = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="Its picture; repeat the option for several.", metavar="FILE")
    ] = None,
    aspect: Annotated[str | None, typer.Option(help="What the sentiment is about.")] = None,
    question: Annotated[str | None, typer.Option(help="A question, instead of a post.")] = None,
    choices: Annotated[list[str] | None, typer.Option(help="Its choices, one after the other.", metavar="A B")] = None,
    context: Annotated[str | None, typer.Option(help="Its hint.")] = None,
    caption: Annotated[str | None, typer.Option(help="What its picture shows, for models that read captions.")] = None,
    source: Annotated[
        Path | None, typer.Option("--input", help="Rows instead: JSONL, CSV, Parquet ...", metavar="FILE")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The file to append one line per row to.", metavar="FILE")] = None,
    images: Annotated[
        Path | None, typer.Option(help="The folder of the pictures; by default that of the input file.", metavar="DIR")
    ] = None,
    label_only: Annotated[
        bool, typer.Option("--label-only", help="No chain: much faster, unless the model needs it first.")
    ] = False,
    chain_only: Annotated[bool, typer.Option("--chain-only", help="No label, the chain alone.")] = False,
    generate: Annotated[
        bool, typer.Option("--generate", help="Write the label instead of scoring it, as published.")
    ] = False,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest chain, in tokens.")] = 512,
    batch_size: Annotated[int, typer.Option(min=1, help="Batch size.")] = 16,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask a trained model: its label with the probability, and the chain. With --output, it can be continued."""
    _check_choices(choices or [], more_choices or [])
    if chain_only and (label_only or generate):
        raise MulcotError(f"{'--label-only' if label_only else '--generate'} and --chain-only exclude each other")
    want = {"label_only": label_only, "chain_only": chain_only, "generate": generate}
    one = {"text": text, "question": question, "image": image, "aspect": aspect, "choices": choices}
    one |= {"context": context, "caption": caption}
    if source is not None:
        _check_file(source, output, [f"--{name}" for name, value in one.items() if value not in (None, [])])
        assert output is not None
        load = partial(_load, model, max_tokens, batch_size)
        _file(load, source, output, images, want, force=force, as_json=as_json)
        return
    if (text is None) == (question is None):
        raise MulcotError("what to ask is not clear", hint="Give one of --text, --question and --input.")
    if output is not None:
        raise MulcotError("--output is for --input; one answer is printed", hint="--json > FILE keeps it.")
    if images is not None or force:
        raise MulcotError(f"{'--force' if images is None else '--images'} is for --input", hint=HELP)
    from mulcot.predict.posts import Post

    everything = (*(choices or ()), *(more_choices or ()))
    post = Post(
        text=text or question or "", image=image, aspect=aspect, choices=everything, context=context, caption=caption
    )
    (found,) = _load(model, max_tokens, batch_size).predict([post], None, **want)
    _show(found, everything, as_json=as_json)


def _check_file(source: Path, output: Path | None, one: Sequence[str]) -> None:
    """What --input goes together with; a single post has other options."""
    from mulcot.rundir import need_place

    if one:
        hint = "In a file these are columns: text or question, image, aspect, choices, context, caption, id."
        raise MulcotError(f"--input: {one[0]} belongs to a single post", hint=hint)
    if output is None:
        raise MulcotError("--input: --output is missing", hint="It names the file that gets a line for every row.")
    if output.exists() and source.exists() and output.samefile(source):
        raise MulcotError(f"{output} is the input itself", hint="Choose another output file.")
    need_place(output, "answers.jsonl")


def _check_choices(named: Sequence[str], more: Sequence[str]) -> None:
    """What stands behind the first choice came without a name, so it may be a mistake."""
    for word in more:
        if word.startswith("-") and not re.fullmatch(r"-[\d.,]+.*", word):
            raise MulcotError(f"no such option: {word}", hint=HELP)
        if not named:
            raise MulcotError(f"{word!r} belongs to no option", hint="Put texts with spaces in quotes.")
    if more and len(named) > 1:
        hint = "Name it once: --choices A B C. Or once for each: --choices A --choices B."
        raise MulcotError("the order of the choices is not clear", hint=hint)


def _load(model: Path, max_tokens: int, batch_size: int) -> Predictor:
    from mulcot.predict.model_folders import find_model

    find_model(model)  # before torch is imported, which takes seconds
    need("train")
    from mulcot.backbones.vlm.decoding_settings import Decoding
    from mulcot.open_predictor import open_predictor

    return open_predictor(model, decoding=Decoding(max_tokens=max_tokens), batch_size=batch_size)


def _file(
    load: Callable[[], Predictor],
    source: Path,
    output: Path,
    images: Path | None,
    want: dict[str, bool],
    *,
    force: bool,
    as_json: bool,
) -> None:
    from mulcot.media import Store
    from mulcot.predict.input_rows import ask_rows, open_rows
    from mulcot.predict.resumable_output import ResumableOutput
    from mulcot.progress import Reporter

    with Store.temporary() as store:
        rows, gallery = open_rows(source, images, store)
        predictor = load()
        answers_file = ResumableOutput(output, {**predictor.identity(), **want})
        asked = ask_rows(rows, predictor.cleaning)
        answer = lambda items: predictor.predict(items, gallery, **want)  # noqa: E731
        with Reporter.auto().bar("predict", unit="rows") as bar:
            for _ in answers_file.run(asked, answer, predictor.portion, force=force):
                bar.advance(answers_file.count.rows - bar.done)
                bar.note(rejected=sum(answers_file.count.rejected.values()))
    counts = answers_file.count.to_json()
    if as_json:
        print(json.dumps({**counts, "output": str(output)}, indent=2))
        return
    print("  ".join(f"{name} {number:,}" for name, number in {"rows": counts["rows"], **counts["labels"]}.items()))
    for reason, number in counts["rejected"].items():
        print(f"rejected {number:,}: {reason}")
    print(output)


def _show(found: Prediction | Rejected, choices: Sequence[str], *, as_json: bool) -> None:
    """One answer for a person or a program; a rejection ends in an error for both."""
    from mulcot.predict.posts import refusal
    from mulcot.records import Rejected

    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=sys.stdout.encoding.lower() != "utf-8"))
    if isinstance(found, Rejected):
        if as_json:
            raise typer.Exit(1)
        raise refusal(found)
    if not as_json:
        print("\n".join(_lines(found, choices)))


def _lines(found: Prediction, choices: Sequence[str] = ()) -> list[str]:
    """The label, all probabilities, the chain; behind a letter the choice it stands for."""
    from mulcot.tasks.letter_reading import LETTERS

    lines = []
    meant = {letter: f"  {printable(choice)}" for letter, choice in zip(LETTERS, choices, strict=False)}
    if found.label is not None or found.problem:
        label = found.label or f"none ({found.problem})"
        lines.append(f"label    {label}{meant.get(label, '')}")
        if found.label is None and found.reply:
            lines.append(f"reply    {printable(found.reply)}")
    lines += [
        f"         {share:6.1%} {printable(name)}{meant.get(name, '')}" for name, share in found.probabilities.items()
    ]
    if found.chain is not None:
        lines += ["", printable(found.chain, lines=True), ""]
        said = found.chain_label or f"no label ({found.chain_problem})"
        lines.append(f"chain    says {said}{meant.get(said, '')}{', cut off' if found.cut else ''}")
    if found.shortened:
        lines.append("note     this was longer than the model reads; the end of rationale or context was left out")
    return lines
