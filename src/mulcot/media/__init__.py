"""Untrusted pictures: opened within limits, found inside their folder only, stored once."""

from mulcot.media.gallery import Gallery
from mulcot.media.picture_store import Store
from mulcot.media.safe_opening import ImageLimits, encode_jpeg, open_image

__all__ = ["Gallery", "ImageLimits", "Store", "encode_jpeg", "open_image"]
