"""The command line: one file per command."""

from mulcot.cli.commands import app, main

__all__ = ["app", "main"]
