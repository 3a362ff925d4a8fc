"""A folder to begin with: one's own data in small, and a recipe that runs at once."""

from mulcot.cli.starting.folder import begin

__all__ = ["begin"]
