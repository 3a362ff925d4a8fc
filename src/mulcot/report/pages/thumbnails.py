"""Small pictures for a page, within a budget of bytes."""

from __future__ import annotations

from mulcot.errors import MediaError
from mulcot.media import Gallery, encode_jpeg
from mulcot.records import Example
from mulcot.report.pages.page import data_uri

SIZE = (320, 240)
QUALITY = 72
BUDGET = 2_500_000
"""Bytes of all pictures of a page, before they are written as text."""


class Thumbnails:
    """Opens pictures as long as there is room."""

    def __init__(self, gallery: Gallery | None, budget: int = BUDGET) -> None:
        self.gallery = gallery
        self.left = budget
        self.without_room = 0

    def of(self, example: Example) -> list[str]:
        """The example's pictures as parts of the page; those that cannot be opened are left out."""
        found = []
        for image in example.images:
            if self.gallery is None:
                break
            if self.left <= 0:
                self.without_room += 1
                continue
            try:
                jpeg = encode_jpeg(self.gallery.open(image), SIZE, QUALITY)
            except MediaError:
                continue  # moved or changed since the run; the card says so
            if len(jpeg) > self.left:
                self.without_room += 1
                continue
            self.left -= len(jpeg)
            found.append(data_uri(jpeg))
        return found
