"""How a long job says how far it is: a live line on a terminal, timed plain lines elsewhere, or nothing.

    with reporter.bar("dataset", total=5338, unit="rows") as bar:
        bar.advance()
        bar.note(rejected=3)

The library never prints by itself: a command makes a `Reporter` and hands it down.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

Style = Literal["silent", "lines", "live"]


class Reporter:
    """Makes the bars of one command, all in the same style."""

    def __init__(
        self,
        style: Style,
        *,
        stream: TextIO | None = None,
        every: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.style = style
        self.stream = stream or sys.stderr
        self.every = every
        self.clock = clock

    @classmethod
    def auto(cls, stream: TextIO | None = None) -> Reporter:
        """Live on a terminal that can redraw a line, plain lines anywhere else."""
        target = stream or sys.stderr
        live = target.isatty() and os.environ.get("TERM") != "dumb"
        return cls("live" if live else "lines", stream=target)

    @classmethod
    def silent(cls) -> Reporter:
        """No output at all."""
        return cls("silent")

    def say(self, text: str) -> None:
        """One plain line of its own, between bars."""
        if self.style != "silent":
            print(text, file=self.stream, flush=True)

    @contextmanager
    def bar(self, label: str, *, total: int | None = None, unit: str = "rows", done: int = 0) -> Iterator[Bar]:
        """A bar over one job. `done` is what an earlier run had finished; it does not count for the rate."""
        bar = Bar(self, label, total, unit, done)
        try:
            yield bar
        except BaseException:
            bar.close("stopped")
            raise
        bar.close("done")


class Bar:
    """The progress of one job; may be advanced from several threads."""

    def __init__(self, reporter: Reporter, label: str, total: int | None, unit: str, done: int) -> None:
        self.label, self.total, self.unit, self.done = label, total, unit, done
        self.notes: dict[str, object] = {}
        self.state = ""
        self._reporter, self._before = reporter, done
        self._lock = RLock()
        self._start = self._said = reporter.clock()
        self._live = _live(reporter.stream, self._render) if reporter.style == "live" else None
        self._say()

    def advance(self, count: int = 1) -> None:
        """`count` more are done."""
        with self._lock:
            self.done += count
            self._say_if_due()

    def note(self, **fields: object) -> None:
        """Sets fields of the line, such as `rejected=3`; a later value of the same name replaces the earlier one."""
        with self._lock:
            self.notes.update(fields)
            self._say_if_due()

    def close(self, state: str) -> None:
        """Shows the last line."""
        self.state = state
        if self._live is not None:
            self._live.stop()
        self._say()

    def line(self) -> str:
        """Everything in one line, such as `dataset: 12 of 40 rows (30%), 6.0 rows/s, 5s left, rejected 3`."""
        with self._lock:
            seconds = self._reporter.clock() - self._start
            rate = (self.done - self._before) / seconds if seconds > 0 else 0.0
            of = f" of {self.total:,}" if self.total is not None else ""
            percent = f" ({100 * self.done // self.total}%)" if self.total else ""
            parts = [f"{self.label}: {self.done:,}{of} {self.unit}{percent}"]
            if rate > 0:
                parts.append(f"{_number(rate)} {self.unit}/s")
            if self.state:
                parts.append(f"{self.state} after {duration(seconds)}")
            elif rate > 0 and self.total is not None:
                parts.append(f"{duration(max(self.total - self.done, 0) / rate)} left")
            return ", ".join([*parts, *(f"{name.replace('_', ' ')} {_number(v)}" for name, v in self.notes.items())])

    def _say_if_due(self) -> None:
        if self._reporter.style == "lines" and self._reporter.clock() - self._said >= self._reporter.every:
            self._say()

    def _say(self) -> None:
        self._said = self._reporter.clock()
        if self._reporter.style == "lines":
            self._reporter.say(self.line())

    def _render(self) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1))
        pulse = self.total is None and not self.state
        drawn = ProgressBar(total=self.total or 1, completed=self.done if self.total else 1, width=24, pulse=pulse)
        grid.add_row(drawn, Text(self.line()))
        return grid


def duration(seconds: float) -> str:
    """A length of time for people: `8s`, `3m 05s`, `2h 07m`."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def _live(stream: TextIO, render: Callable[[], RenderableType]) -> Live:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream)
    live = Live(console=console, get_renderable=render, redirect_stdout=False, redirect_stderr=False)
    live.start(refresh=True)
    return live


def _number(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
    return str(value)
