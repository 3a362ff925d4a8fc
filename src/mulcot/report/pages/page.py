"""How every page is made: a template, our own style and script by hash, and a policy that allows nothing else.

Text from data or models reaches a page through the template's escaping alone. The Content-Security-Policy names the
hashes of our own style and script, so even a mistake in a template could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mulcot.errors import MulcotError
from mulcot.rundir import write_text

HERE = Path(__file__).parent


def render(template: str, *, title: str, styles: Iterable[str] = (), script: str = "", **values: Any) -> str:
    """The page as text. `styles` are added to the common look; `script` is the only code that may run."""
    css = "\n".join([asset("theme.css"), *styles])
    policy = [
        "default-src 'none'",
        "img-src data:",
        f"style-src {_allow(css)}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if script:
        policy.append(f"script-src {_allow(script)}")
    return (
        _environment()
        .get_template(template)
        .render(title=title, css=Markup(css), script=Markup(script), policy="; ".join(policy), **values)
    )


def write_page(path: Path, html: str) -> None:
    """Writes the whole page, or nothing."""
    try:
        # Half a surrogate pair, as in file names that are no UTF-8, cannot be written as it is.
        write_text(path, html.encode("utf-8", "backslashreplace").decode("utf-8"))
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror or error}"
        raise MulcotError(problem, hint="Name another file.") from error


@cache
def asset(name: str) -> str:
    """A style or script that ships with the package."""
    return (HERE / name).read_text("utf-8")


def data_uri(jpeg: bytes) -> str:
    """A picture as part of the page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _allow(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"
