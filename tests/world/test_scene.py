from random import Random

import pytest

from mulcot.world import vocabulary
from mulcot.world.scene import KINDS, Scene, attributes, combinations, random_scene
from mulcot.world.vocabulary_types import MOODS, SceneKind


def face(main: str, setting: str) -> Scene:
    return Scene(kind="face", main=main, setting=setting, colour="red", count=2, extra="cat")


@pytest.mark.parametrize(
    ("main", "setting", "mood"),
    [
        ("smiling", "rain", "positive"),
        ("crying", "sun", "negative"),
        ("calm", "rain", "negative"),
        ("calm", "sun", "positive"),
        ("calm", "cloud", "neutral"),
    ],
)
def test_the_main_thing_decides_the_mood_and_the_setting_where_it_takes_no_side(
    main: str, setting: str, mood: str
) -> None:
    assert face(main, setting).mood == mood


def test_a_scene_survives_json_with_its_look() -> None:
    for seed in range(50):
        scene = random_scene(Random(seed), hard=True)
        assert Scene.from_json(scene.to_json()) == scene


def test_attributes_name_every_detail_with_all_values_it_could_have() -> None:
    for seed in range(50):
        scene = random_scene(Random(seed))
        shown = {entry.attribute: entry for entry in attributes(scene)}
        assert all(entry.value in entry.values for entry in shown.values())
        assert {"kind", "colour", "count", "extra", f"{scene.kind}.main"} <= set(shown)
        assert len(shown) == 6


def test_rain_is_one_attribute_in_all_scenes_that_have_a_sky() -> None:
    heads = {scene.kind: attributes(scene)[2].attribute for scene in (random_scene(Random(n)) for n in range(99))}
    assert heads["face"] == heads["flower"] == "sky"
    assert heads["dog"] == "dog.setting"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_training_and_the_hard_split_divide_the_combinations_of_each_mood(kind: SceneKind) -> None:
    for mood in MOODS:
        shown, unseen, all_of_it = (
            {(main, setting) for main, setting, _ in combinations(kind, mood, held_out=held_out)}
            for held_out in (False, True, None)
        )
        assert shown | unseen == all_of_it
        assert not shown & unseen
        assert shown


def test_most_moods_come_from_the_main_thing() -> None:
    weights = combinations(KINDS["face"], "negative")
    by_main = sum(weight for main, _, weight in weights if main != "calm")
    assert by_main / sum(weight for *_, weight in weights) == pytest.approx(vocabulary.MAIN_SHARE / 10)


def test_the_same_seed_gives_the_same_scene() -> None:
    assert random_scene(Random(5)) == random_scene(Random(5))
    assert random_scene(Random(5)) != random_scene(Random(6))
