import itertools

import pytest

from mulcot.world import vocabulary
from mulcot.world.claims import about_scene
from mulcot.world.painters import PAINTERS
from mulcot.world.scene import Scene
from mulcot.world.vocabulary_types import MOODS, SceneKind

KINDS = pytest.mark.parametrize("kind", vocabulary.KINDS, ids=lambda kind: kind.name)


def test_every_kind_of_scene_has_its_painter_and_there_are_at_least_five() -> None:
    assert set(PAINTERS) == {kind.name for kind in vocabulary.KINDS}
    assert len(PAINTERS) >= 5


@KINDS
def test_main_things_and_settings_show_every_mood_and_have_names_of_their_own(kind: SceneKind) -> None:
    for details in (kind.main, kind.setting):
        assert {entry.mood for entry in details} == set(MOODS)
        assert len({entry.name for entry in details}) == len(details)


@KINDS
def test_held_out_combinations_exist_and_leave_every_mood_to_training(kind: SceneKind) -> None:
    pairs = set(itertools.product((m.name for m in kind.main), (s.name for s in kind.setting)))
    assert kind.held_out and set(kind.held_out) <= pairs


@KINDS
def test_what_a_phrase_says_is_claimed_by_its_own_words(kind: SceneKind) -> None:
    for main, setting in itertools.product(kind.main, kind.setting):
        scene = Scene(kind=kind.name, main=main.name, setting=setting.name, colour="red", count=1, extra="none")
        claims = list(about_scene(f"the picture shows a {main.phrase} {setting.phrase}", scene))
        assert {claim.about for claim in claims} == {"kind", "main", "setting"}
        assert all(claim.true for claim in claims)


def test_words_of_one_detail_never_claim_another_of_the_same_kind() -> None:
    for kind in vocabulary.KINDS:
        for details in (kind.main, kind.setting):
            words = [word for entry in details for word in entry.words]
            assert len(set(words)) == len(words)


def test_a_topic_belongs_to_one_kind_and_no_phrase_of_a_post_hides_another() -> None:
    topics = [topic for kind in vocabulary.KINDS for topic in kind.topics]
    assert len(set(topics)) == len(topics)
    phrases = [phrase.format(topic="X") for tones in vocabulary.TONES.values() for phrase in tones]
    for one, other in itertools.permutations(phrases, 2):
        assert one not in other


def test_the_noise_of_posts_holds_no_marker() -> None:
    noise = " ".join((*vocabulary.OPENERS, *vocabulary.CLOSERS, *vocabulary.JOINS))
    marks = [mark for marks in vocabulary.MARKERS.values() for mark in marks]
    assert len(set(marks)) == len(marks) > 0
    assert not any(mark in noise for mark in marks)


def test_the_rules_decide_every_post_and_their_shares_make_a_hundred() -> None:
    assert sum(rule.share for rule in vocabulary.RULES) == 100
    for related, firm in itertools.product((True, False), (True, False)):
        for text, picture in itertools.product(MOODS, MOODS):
            assert any(rule.fits(related=related, text=text, picture=picture, firm=firm) for rule in vocabulary.RULES)
