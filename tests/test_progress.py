"""Progress says what a person waiting needs, in the style that fits where it is shown."""

from __future__ import annotations

import io
import subprocess
import sys
from threading import Thread

import pytest

from mulcot.progress import Reporter, duration


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_reporter(every: float = 10.0) -> tuple[Reporter, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return Reporter("lines", stream=stream, every=every, clock=clock), stream, clock


def test_the_first_and_the_last_line_are_always_printed():
    reporter, stream, clock = lines_reporter()
    with reporter.bar("dataset", total=4) as bar:
        clock.now += 2
        bar.advance(4)
    assert stream.getvalue().splitlines() == [
        "dataset: 0 of 4 rows (0%)",
        "dataset: 4 of 4 rows (100%), 2.0 rows/s, done after 2s",
    ]


def test_between_them_at_most_one_line_is_printed_per_interval():
    reporter, stream, clock = lines_reporter(every=10)
    with reporter.bar("teacher", total=1000, unit="posts") as bar:
        for _ in range(200):
            clock.now += 0.125
            bar.advance()
            bar.note(retries=3)
    middle = stream.getvalue().splitlines()[1:-1]
    assert middle == [
        "teacher: 80 of 1,000 posts (8%), 8.0 posts/s, 1m 55s left, retries 3",
        "teacher: 160 of 1,000 posts (16%), 8.0 posts/s, 1m 45s left, retries 3",
    ]


def test_notes_stand_in_the_order_of_their_first_mention_and_keep_their_last_value():
    reporter, _, _ = lines_reporter()
    with reporter.bar("teacher", unit="posts") as bar:
        bar.note(in_flight=8, tokens=1234567, money="0.40 EUR")
        bar.note(tokens=2000000, in_flight=7, rate=0.25)
        assert bar.line() == "teacher: 0 posts, in flight 7, tokens 2,000,000, money 0.40 EUR, rate 0.25"


def test_what_an_earlier_run_finished_does_not_count_for_the_rate():
    reporter, _, clock = lines_reporter()
    with reporter.bar("teacher", total=100, done=60) as bar:
        clock.now += 10
        bar.advance(20)
        assert bar.line() == "teacher: 80 of 100 rows (80%), 2.0 rows/s, 10s left"


def test_a_job_that_fails_says_stopped_and_lets_the_error_through():
    reporter, stream, clock = lines_reporter()
    with pytest.raises(KeyboardInterrupt), reporter.bar("dataset", total=4) as bar:
        clock.now += 1
        bar.advance(1)
        raise KeyboardInterrupt
    assert stream.getvalue().splitlines()[-1] == "dataset: 1 of 4 rows (25%), 1.0 rows/s, stopped after 1s"


def test_an_empty_job_divides_by_nothing():
    reporter, stream, _ = lines_reporter()
    with reporter.bar("dataset", total=0):
        pass
    assert stream.getvalue().splitlines()[-1] == "dataset: 0 of 0 rows, done after 0s"


def test_a_silent_reporter_prints_nothing(capfd):
    reporter = Reporter.silent()
    with reporter.bar("dataset", total=2) as bar:
        bar.advance(2)
        bar.note(rejected=1)
    reporter.say("hello")
    assert capfd.readouterr() == ("", "")


def test_lines_are_chosen_without_a_terminal_and_live_on_one(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert Reporter.auto(io.StringIO()).style == "lines"
    assert Reporter.auto(Terminal()).style == "live"
    monkeypatch.setenv("TERM", "dumb")
    assert Reporter.auto(Terminal()).style == "lines"


def test_the_live_line_ends_with_the_final_numbers_and_leaves_brackets_alone(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    stream = Terminal()
    with Reporter.auto(stream).bar("dataset", total=3) as bar:
        bar.advance(3)
        bar.note(money="[red]1[/red]")
    shown = stream.getvalue()
    assert "dataset: 3 of 3 rows (100%)" in shown
    assert "done after" in shown
    assert "[red]1[/red]" in shown


def test_threads_lose_no_count():
    reporter = Reporter.silent()
    with reporter.bar("teacher") as bar:
        threads = [Thread(target=lambda: [bar.advance() for _ in range(2000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert bar.done == 8000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.2, "1s"), (59.5, "1m 00s"), (185, "3m 05s"), (3600, "1h 00m"), (7620, "2h 07m")],
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_importing_progress_does_not_import_rich():
    code = "import sys, mulcot.progress; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
