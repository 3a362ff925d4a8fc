from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

import pytest

from mulcot.world.ceilings import best_accuracy, ceilings, label_shares
from mulcot.world.post_text import parse_clauses
from mulcot.world.posts import DrawnPost, posts


@lru_cache(maxsize=2)
def drawn(aspects: bool) -> Sequence[DrawnPost]:
    return list(posts(11, "train", 4000, aspects=aspects))


def bayes(sample: Sequence[DrawnPost], observed: Callable[[DrawnPost], Hashable]) -> float:
    """The accuracy of guessing each post's label from half of the others that look the same to the observer."""
    right = 0
    for learned, tested in ((sample[::2], sample[1::2]), (sample[1::2], sample[::2])):
        seen: dict[Hashable, Counter[str]] = defaultdict(Counter)
        for post in learned:
            seen[observed(post)][post.truth.label] += 1
        for post in tested:
            guesses = seen[observed(post)]
            right += bool(guesses) and guesses.most_common(1)[0][0] == post.truth.label
    return right / len(sample)


def heard(post: DrawnPost) -> Hashable:
    clause = parse_clauses(post.text)[post.truth.asked]
    return clause.tone, clause.marker


@pytest.mark.parametrize("aspects", [False, True])
def test_the_ceilings_are_what_an_observer_of_real_posts_reaches(aspects: bool) -> None:
    exact, sample = ceilings(aspects=aspects), drawn(aspects)
    shown = (lambda post: (post.scene.mood, post.truth.clause.kind == post.scene.kind)) if aspects else None
    assert bayes(sample, lambda post: "") == pytest.approx(exact.majority, abs=0.02)
    assert bayes(sample, heard) == pytest.approx(exact.text, abs=0.02)
    assert bayes(sample, shown or (lambda post: post.scene.mood)) == pytest.approx(exact.image, abs=0.02)
    both = bayes(sample, lambda post: (heard(post), post.scene.mood, post.truth.clause.kind == post.scene.kind))
    assert both == exact.both == 1.0


def test_looking_closer_at_one_side_does_not_help() -> None:
    exact, sample = ceilings(), drawn(False)
    assert bayes(sample, lambda post: (heard(post), parse_clauses(post.text)[0].kind)) < exact.text + 0.015
    assert bayes(sample, lambda post: (post.scene.kind, post.scene.main, post.scene.setting)) < exact.image + 0.015
    assert bayes(sample, lambda post: (post.scene.mood, post.scene.look.style)) < exact.image + 0.015
    assert bayes(sample, lambda post: (post.scene.mood, post.scene.colour, post.scene.count)) < exact.image + 0.015


def test_neither_side_suffices_and_both_do() -> None:
    for exact in (ceilings(), ceilings(aspects=True)):
        assert 0.35 < exact.majority < 0.45
        assert 0.55 < exact.text < 0.68
        assert 0.55 < exact.image < 0.68
        assert exact.both == 1.0


def test_the_labels_shares_make_one_and_the_majority_is_the_largest() -> None:
    shares = label_shares()
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares.values()) == pytest.approx(ceilings().majority)


def test_seeing_more_never_lowers_what_can_be_reached() -> None:
    assert best_accuracy(lambda case: case.text) <= best_accuracy(lambda case: (case.text, case.marker))
