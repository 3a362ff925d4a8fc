"""What the vocabulary is made of: the typed entries that `vocabulary.py` fills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mood = Literal["positive", "neutral", "negative"]
Winner = Literal["text", "picture", "both"]
Relation = Literal["agree", "unrelated", "conflict"]
Marker = Literal["none", "sarcasm", "firm"]

MOODS: tuple[Mood, Mood, Mood] = ("positive", "neutral", "negative")


@dataclass(frozen=True, slots=True)
class Detail:
    """One mood-bearing thing that can be drawn."""

    name: str
    """What the drawing code and the truth call it."""
    mood: Mood
    phrase: str
    """How chains and captions say it."""
    words: tuple[str, ...]
    """Everything that claims it when a chain is checked; the phrase's own key words come first."""


@dataclass(frozen=True, slots=True)
class SceneKind:
    """One kind of scene."""

    name: str
    """Also the noun that chains use for its main thing."""
    topics: tuple[str, ...]
    """How posts speak about it."""
    main: tuple[Detail, ...]
    """What the main thing is like; its mood decides unless it is neutral."""
    setting: tuple[Detail, ...]
    """What surrounds it; decides where the main thing is neutral."""
    coloured: str
    """The part that has the scene's colour."""
    counted: tuple[str, str]
    """What is there one to three times: singular and plural."""
    held_out: tuple[tuple[str, str], ...]
    """Combinations of main thing and setting that only the hard split shows."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a scene is painted."""

    name: str
    ink: str
    """The colour of outlines."""
    line: float
    """Their width, in units of the 84 x 84 drawing grid."""
    wash: str
    """The colour that everything is mixed with."""
    strength: float
    """How much of it."""
    wall: str
    """The colour of rooms."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the rules; None stands for anything. The first line that fits decides."""

    name: str
    winner: Winner
    why: tuple[str, ...]
    """How a chain says it; `{text}` and `{picture}` are sentiments, `{topic}` and `{kind}` things."""
    share: int
    """How many of 100 posts are made for this rule."""
    markers: tuple[Marker, ...]
    """What the texts of these posts may carry."""
    neutral: int = 1
    """How many times likelier a neutral text is among them than a positive one."""
    related: bool | None = True
    same: bool | None = None
    text: Mood | None = None
    picture: Mood | None = None
    firm: bool | None = None

    def fits(self, *, related: bool, text: Mood, picture: Mood, firm: bool) -> bool:
        """Whether this line speaks about such a post."""
        return (
            self.related in (None, related)
            and self.same in (None, text == picture)
            and self.text in (None, text)
            and self.picture in (None, picture)
            and self.firm in (None, firm)
        )
