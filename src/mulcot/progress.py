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
from enum import Enum
from threading import Lock
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.live import Live

LIVE_INTERVAL = 0.2
LINE_INTERVAL = 15.0


class Style(Enum):
    """How progress is shown."""

    SILENT = "silent"
    LINES = "lines"
    LIVE = "live"


class Reporter:
    """Makes the bars of one command, all in the same style."""

    def __init__(
        self,
        style: Style,
        *,
        stream: TextIO | None = None,
        every: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.style = style
        self.stream = stream or sys.stderr
        self.every = every if every is not None else (LIVE_INTERVAL if style is Style.LIVE else LINE_INTERVAL)
        self.clock = clock

    @classmethod
    def auto(cls, stream: TextIO | None = None) -> Reporter:
        """Live on a terminal that can redraw a line, plain lines anywhere else."""
        target = stream or sys.stderr
        live = target.isatty() and os.environ.get("TERM") != "dumb"
        return cls(Style.LIVE if live else Style.LINES, stream=target)

    @classmethod
    def silent(cls) -> Reporter:
        """No output at all."""
        return cls(Style.SILENT)

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
        self._reporter = reporter
        self._lock = Lock()
        self._start = reporter.clock()
        self._before = done
        self._shown = self._start
        self._live = _live(reporter.stream) if reporter.style is Style.LIVE else None
        self._show()

    def advance(self, count: int = 1) -> None:
        """`count` more are done."""
        with self._lock:
            self.done += count
            self._show_if_due()

    def note(self, **fields: object) -> None:
        """Sets fields of the line, such as `rejected=3`; a later value of the same name replaces the earlier one."""
        with self._lock:
            self.notes.update(fields)
            self._show_if_due()

    def close(self, state: str) -> None:
        """Shows the last line."""
        with self._lock:
            self._show(state)
            if self._live is not None:
                self._live.stop()

    def line(self, state: str = "") -> str:
        """Everything known in one line, such as `dataset: 12 of 40 rows (30%), 6.0 rows/s, 5s left, rejected 3`."""
        seconds = self._reporter.clock() - self._start
        rate = (self.done - self._before) / seconds if seconds > 0 else 0.0
        head = f"{self.label}: {self.done:,}"
        if self.total is not None:
            head += f" of {self.total:,}"
        head += f" {self.unit}"
        if self.total:
            head += f" ({100 * self.done // self.total}%)"
        parts = [head]
        if rate > 0:
            parts.append(f"{_number(rate)} {self.unit}/s")
        if state:
            parts.append(f"{state} after {duration(seconds)}")
        elif rate > 0 and self.total is not None:
            parts.append(f"{duration(max(self.total - self.done, 0) / rate)} left")
        parts += [f"{name.replace('_', ' ')} {_value(value)}" for name, value in self.notes.items()]
        return ", ".join(parts)

    def _show_if_due(self) -> None:
        if self._reporter.style is not Style.SILENT and self._reporter.clock() - self._shown >= self._reporter.every:
            self._show()

    def _show(self, state: str = "") -> None:
        self._shown = self._reporter.clock()
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(self.line(state)), refresh=True)
        elif self._reporter.style is Style.LINES:
            print(self.line(state), file=self._reporter.stream, flush=True)  # noqa: T201


def duration(seconds: float) -> str:
    """A length of time for people: `8s`, `3m 05s`, `2h 07m`."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def _live(stream: TextIO) -> Live:
    from rich.console import Console
    from rich.live import Live

    live = Live(console=Console(file=stream), auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    live.start()
    return live


def _value(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else _number(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
