"""Text to token ids for a T5: control tokens stay out of reach, and what is too long gives way where it may."""

from __future__ import annotations

from collections.abc import Sequence

from mulcot.backbones.vlm.safe_tokenizer import SafeTokenizer
from mulcot.multimodal_cot.questions import Ids


class SourceTokenizer(SafeTokenizer):
    """A tokenizer that knows where each token came from."""

    def located(self, text: str) -> tuple[list[int], list[int]]:
        """Ids of a text in which nothing is a control token, and the place in the text where each begins."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = []
        places: list[int] = []
        start = 0
        for piece in self._pieces(text):
            out = self.tokenizer(piece, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            ids += out["input_ids"]
            places += [start + begin for begin, _ in out["offset_mapping"]]
            start += len(piece)
        return ids, places


def shorten(ids: Sequence[int], places: Sequence[int], long: Sequence[tuple[int, int]], limit: int) -> Ids:
    """At most `limit` ids. Parts in `long` are shortened from the last to the first, each from its end."""
    surplus = len(ids) - limit
    if surplus <= 0:
        return tuple(ids)
    dropped: set[int] = set()
    for begin, end in reversed(long):
        inside = [index for index, place in enumerate(places) if begin <= place < end and index not in dropped]
        taken = inside[max(0, len(inside) - (surplus - len(dropped))) :]
        dropped.update(taken)
        if len(dropped) == surplus:
            break
    kept = [token for index, token in enumerate(ids) if index not in dropped]
    return tuple(kept[:limit])
