"""`mulcot serve`: a trained model as an HTTP service."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mulcot.errors import MulcotError
from mulcot.extras import need

if TYPE_CHECKING:
    from mulcot.predict.base import Predictor
    from mulcot.serving.settings import Serving


def serve(
    model: Annotated[
        Path | None, typer.Option(help="A run folder, a stage folder or a model folder.", metavar="DIR")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free port.")] = 8000,
    tokens: Annotated[Path | None, typer.Option(help="Allowed tokens: names and hashes.", metavar="FILE")] = None,
    new_token: Annotated[
        str | None, typer.Option("--new-token", help="Add a token to the file, show it once, and end.", metavar="NAME")
    ] = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Serve other machines without tokens.")] = False,
    hostname: Annotated[
        list[str] | None, typer.Option(help="Allowed host name; may be repeated.", metavar="NAME")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name in replies; by default the folder's.")] = None,
    queue: Annotated[int, typer.Option(min=1, help="Longest queue, in posts; more are refused with 429.")] = 64,
    batch_size: Annotated[int, typer.Option(min=1, help="Batch size.")] = 16,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest chain, in tokens.")] = 512,
    deadline: Annotated[float, typer.Option(min=0.1, help="Timeout of a request in seconds.")] = 60,
    rate: Annotated[int, typer.Option(min=0, help="Posts per minute and token; 0 is no limit.")] = 0,
    allow_image_hosts: Annotated[
        list[str] | None, typer.Option(help="A host that pictures may be fetched from.", metavar="HOST")
    ] = None,
    examples: Annotated[
        Path | None, typer.Option(help="JSON lines of posts that the page offers to try.", metavar="FILE")
    ] = None,
) -> None:
    """Serve a trained model over HTTP, with a page to try it."""
    if new_token is not None:
        _new_token(new_token, tokens)
        return
    if model is None:
        raise MulcotError("--model is missing", hint="Give a run folder, or --new-token to make a token.")
    if not _is_loopback(host) and tokens is None and not no_auth:
        raise MulcotError(
            f"--host {host} can be reached by other machines, and everyone there could use the model",
            hint="Give --tokens FILE, or --no-auth if that is what you want.",
        )
    from mulcot.serving.api_keys import Tokens
    from mulcot.serving.example_posts import read_samples
    from mulcot.serving.remote_pictures import check_hosts
    from mulcot.serving.settings import Serving

    check_hosts(allow_image_hosts or ())
    serving = Serving(
        name=name or _name_of(model),
        host=host,
        port=port,
        hostnames=tuple(hostname or ()),
        tokens=None if tokens is None else Tokens.read(tokens),
        rate=rate,
        queue=queue,
        batch_size=batch_size,
        deadline=deadline,
        image_hosts=tuple(allow_image_hosts or ()),
        examples=None if examples is None else read_samples(examples),
    )
    need("train", "serve")
    _serve(serving, model, max_tokens)


def _serve(serving: Serving, model: Path, max_tokens: int) -> None:
    from mulcot.predict.model_folders import find_model

    find_model(model)  # before torch is imported, which takes seconds
    from mulcot.serving.app import build
    from mulcot.serving.server import bind, make_server

    with bind(serving) as listener:
        app = build(_load(model, max_tokens, serving.batch_size), serving, _log)
        server = make_server(app, serving)
        host = f"[{serving.host}]" if ":" in serving.host else serving.host
        print(f"model    {serving.name}")
        print(f"access   {'with a token' if serving.tokens else 'open to everyone who can reach the address'}")
        print(f"address  http://{host}:{listener.getsockname()[1]}", flush=True)
        server.run(sockets=[listener])
    print("ended; every accepted request was answered" if not server.force_exit else "ended")


def _load(model: Path, max_tokens: int, batch_size: int) -> Predictor:
    from mulcot.backbones.vlm.decoding_settings import Decoding
    from mulcot.open_predictor import open_predictor

    return open_predictor(model, decoding=Decoding(max_tokens=max_tokens), batch_size=batch_size)


def _new_token(name: str, path: Path | None) -> None:
    from mulcot.serving.api_keys import add_token, new_token

    if path is None:
        made = new_token(name)
        print(f"token  {made.secret}\nline   {made.line}")
        return
    print(f"token  {add_token(path, name)}\nIt is not shown again; {path} holds its hash.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name_of(model: Path) -> str:
    """The run's name for anything inside a run, otherwise the folder's."""
    parts = [part for part in model.resolve().parts if part != "model"]
    while len(parts) > 1 and parts[-1][:1].isdigit() and "-" in parts[-1]:
        parts.pop()
    # A folder mounted as /model has no name but that.
    return parts[-1].strip("/") or model.resolve().name or "mulcot"


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
