from __future__ import annotations

from PIL import Image

from mulcot import Post, Predictor
from mulcot.records import Prediction, Rejected

POSTS = [
    Post(text="post one", image=Image.new("RGB", (40, 50), "red"), id="a"),
    Post(text=" ", id="b"),
    Post(text="another post", id="c"),
]


def test_a_batch_is_told_label_first_then_in_pieces_then_whole(predictor: Predictor) -> None:
    told = list(predictor.stream_batch(POSTS, streamed={0}))
    whole = {one.row: one.news for one in told if one.last}
    assert [whole[row] for row in range(3)] == predictor.predict(POSTS)
    assert isinstance(whole[1], Rejected)
    for row in (0, 2):
        news = [one.news for one in told if one.row == row]
        assert isinstance(news[0], Prediction)
        assert (news[0].label, news[0].chain) == (whole[row].label, None)
        pieces = "".join(piece for piece in news[1:-1])
        assert pieces == (whole[row].chain if row == 0 else "")
    last = next(one for one in told if one.last and one.row == 0)
    assert last.read > 20
    assert 0 < last.written <= 12


def test_without_chains_the_label_is_the_whole(predictor: Predictor) -> None:
    told = list(predictor.stream_batch(POSTS, label_only=True))
    assert [one.last for one in told] == [True, True, True]
    found = [one.news for one in sorted(told, key=lambda one: one.row)]
    assert found == predictor.predict(POSTS, label_only=True)


def test_two_batches_can_unfold_in_turns(predictor: Predictor) -> None:
    first, second = predictor.stream_batch(POSTS[:1]), predictor.stream_batch(POSTS[2:])
    told: list[list[object]] = [[], []]
    for one, other in zip(first, second, strict=True):
        told[0].append(one.news)
        told[1].append(other.news)
    assert told[0][-1] == predictor.predict(POSTS[:1])[0]
    assert told[1][-1] == predictor.predict(POSTS[2:])[0]
