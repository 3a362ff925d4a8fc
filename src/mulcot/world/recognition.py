"""From what is really sent, text and picture, back to the truth: the proof that labels follow from what is visible."""

from __future__ import annotations

from PIL import Image

from mulcot.world.post_text import parse_clauses
from mulcot.world.scene import Scene
from mulcot.world.scene_reading import read_scene
from mulcot.world.truth import Truth, judge


def truth_of(text: str, image: Image.Image | None, aspect: str | None = None) -> Truth | None:
    """The truth of a post, or None where its text or picture is none of ours.

    A swapped picture gives the truth of the swapped pair; without a picture the text decides alone.
    """
    scene = None if image is None else read_scene(image)
    if image is not None and scene is None:
        return None
    return truth_with(text, scene, aspect)


def truth_with(text: str, scene: Scene | None, aspect: str | None = None) -> Truth | None:
    """The same for a scene that has been seen already, so that a picture need be looked at only once."""
    clauses = parse_clauses(text)
    if aspect is not None:
        wanted = " ".join(aspect.casefold().split())
        asked = [number for number, clause in enumerate(clauses) if clause.topic == wanted]
    else:
        asked = list(range(len(clauses)))
    return judge(clauses, scene, asked[0]) if len(asked) == 1 else None
