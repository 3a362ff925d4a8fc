"""mulcot: distil a large teacher into a small vision-language model that explains and classifies posts."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mulcot.extras import need
from mulcot.version import __version__

if TYPE_CHECKING:
    from mulcot.open_predictor import Predictor, open_predictor
    from mulcot.predict.posts import Post

__all__ = ["Post", "Predictor", "__version__", "open_predictor"]

_LAZY = {
    "Post": "mulcot.predict.posts",
    "Predictor": "mulcot.open_predictor",
    "open_predictor": "mulcot.open_predictor",
}
_ASKING = ("Predictor", "open_predictor")


def __getattr__(name: str) -> Any:
    """What needs Pillow and torch is imported when it is first asked for, so that `import mulcot` stays light."""
    if name not in _LAZY:
        raise AttributeError(f"module 'mulcot' has no attribute {name!r}")
    if name in _ASKING:
        need("train")
    return getattr(import_module(_LAZY[name]), name)
