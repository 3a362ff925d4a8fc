"""Pictures from strangers: opened within limits, found inside their folder only, stored once."""

from mulcot.media.gallery import Gallery
from mulcot.media.opening import ImageLimits, encode_jpeg, open_image
from mulcot.media.store import Store

__all__ = ["Gallery", "ImageLimits", "Store", "encode_jpeg", "open_image"]
