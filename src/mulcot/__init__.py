"""mulcot: distil a large teacher into a small vision-language model that explains and classifies posts."""

from mulcot.version import __version__

__all__ = ["__version__"]
