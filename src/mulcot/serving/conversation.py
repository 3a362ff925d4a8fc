"""Conversations as they are, in the model's own chat mark-up: for programs that bring their own prompt.

Every text goes through `SafeTokenizer.encode_text`, so it cannot open or close a turn, whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.encoded import Branch, Encoded
from mulcot.backbones.vlm.generation import stream
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.prefill import prefill
from mulcot.predict.base import ChatModel
from mulcot.predict.streaming import Detokenizer
from mulcot.records import Rejected
from mulcot.serving.jobs import Conversation, ConversationReply, JobEvent


def converse(chat: ChatModel, talks: Sequence[Conversation], decoding: Decoding) -> Iterator[tuple[int, JobEvent]]:
    """The replies to several conversations, token by token."""
    model, longest = chat
    encoded: dict[int, Encoded] = {}
    for place, talk in enumerate(talks):
        one = encode(model, talk)
        if len(one.prefix) > longest:
            detail = f"the messages are {len(one.prefix):,} tokens, allowed {longest:,}"
            yield place, JobEvent(Rejected(source="messages", reason="too_long", detail=detail), last=True)
        else:
            encoded[place] = one
    if encoded:
        yield from _write(model, encoded, decoding)


def encode(model: LoadedModel, talk: Conversation) -> Encoded:
    """All messages as the prefix, the beginning of the model's turn as what is asked."""
    words, markup = model.words, model.markup
    assert markup is not None
    ids: list[int] = []
    patches = []
    for turn in talk.turns:
        ids += markup.begin(words, turn.role)
        for part in turn.parts:
            if isinstance(part, str):
                ids += words.encode_text(part)
            else:
                patches.append(model.pictures.patches(part))
                ids += markup.image(words, model.pictures.tokens(patches[-1][1]))
        ids += markup.close(words)
    grids = tuple(grid for _, grid in patches)
    positions = model.positions(ids, grids)
    return Encoded(
        id=talk.key,
        prefix=tuple(ids),
        positions_AP=positions,
        next_position=int(positions.max()) + 1,
        chain=Branch(tuple(markup.begin(words, "assistant"))),
        pixels_NF=np.concatenate([values for values, _ in patches]) if patches else None,
        grids=grids,
    )


def _write(model: LoadedModel, encoded: dict[int, Encoded], decoding: Decoding) -> Iterator[tuple[int, JobEvent]]:
    places, asked = list(encoded), list(encoded.values())
    detokenizer = [Detokenizer(model.text) for _ in asked]
    texts, written, complete = [""] * len(asked), [0] * len(asked), [False] * len(asked)
    for token in stream(prefill(model, asked, decoding.max_tokens), decoding):
        row, piece = token.row, ""
        if token.end:
            complete[row], piece = True, detokenizer[row].rest()
        else:
            written[row] += 1
            piece = detokenizer[row].add(token.id)
        texts[row] += piece
        yield places[row], JobEvent(piece)
    for row, place in enumerate(places):
        if not complete[row] and (rest := detokenizer[row].rest()):
            texts[row] += rest
            yield place, JobEvent(rest)
        yield place, JobEvent(ConversationReply(texts[row], complete[row]), True, len(asked[row].prefix), written[row])
