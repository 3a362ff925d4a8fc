"""A folder to begin with: one's own data in small, and a recipe that runs at once."""

from mulcot.cli.starting.folder import write_starter_folder

__all__ = ["write_starter_folder"]
