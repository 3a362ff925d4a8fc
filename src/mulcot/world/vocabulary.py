"""The whole vocabulary of the synthetic posts: scenes, colours, styles, phrases and rules. Only data; read it top down.

To add a scene, add a `SceneKind` here and its painter in `painters/`. Everything else (texts, chains, captions,
checking, recognising pictures, ceilings, the docs' tables) follows from the entry. The questions' vocabulary is
`science_vocabulary.py`.
"""

from __future__ import annotations

from mulcot.world.vocabulary_types import Detail, Marker, Mood, Rule, SceneKind, Style

SKY = (
    Detail("sun", "positive", "under a bright sun", ("bright sun", "sun", "sunny", "sunshine")),
    Detail("cloud", "neutral", "under a grey cloud", ("grey cloud", "gray cloud", "cloudy")),
    Detail("rain", "negative", "in heavy rain", ("heavy rain", "rain", "rainy", "raining")),
)
"""Shared by several kinds: what was learned about rain in one scene holds in another."""

KINDS = (
    SceneKind(
        name="face",
        topics=("my friend", "our neighbour", "my sister"),
        main=(
            Detail("smiling", "positive", "smiling face", ("smiling", "smile", "smiles")),
            Detail("laughing", "positive", "laughing face", ("laughing", "laughs")),
            Detail("calm", "neutral", "calm face", ("calm",)),
            Detail("frowning", "negative", "frowning face", ("frowning", "frown", "frowns")),
            Detail("crying", "negative", "crying face", ("crying", "tears", "cries")),
        ),
        setting=SKY,
        coloured="shirt",
        counted=("badge", "badges"),
        held_out=(("smiling", "rain"), ("crying", "sun")),
    ),
    SceneKind(
        name="dog",
        topics=("my dog", "our puppy", "the dog"),
        main=(
            Detail("happy", "positive", "happy dog", ("happy dog",)),
            Detail("playing", "positive", "playing dog", ("playing", "playful")),
            Detail("sleeping", "neutral", "sleeping dog", ("sleeping", "asleep", "sleepy")),
            Detail("sad", "negative", "sad dog", ("sad dog",)),
            Detail("hurt", "negative", "hurt dog", ("hurt", "bandage", "injured dog")),
        ),
        setting=(
            Detail("full", "positive", "beside a full bowl", ("full bowl",)),
            Detail("mat", "neutral", "beside a plain mat", ("plain mat", "mat")),
            Detail("empty", "negative", "beside an empty bowl", ("empty bowl",)),
        ),
        coloured="scarf",
        counted=("bush", "bushes"),
        held_out=(("happy", "empty"), ("hurt", "full")),
    ),
    SceneKind(
        name="flower",
        topics=("my flower", "the garden", "our rose"),
        main=(
            Detail("blooming", "positive", "blooming flower", ("blooming", "in bloom", "blossoming")),
            Detail("thriving", "positive", "thriving flower", ("thriving", "lush")),
            Detail("closed", "neutral", "closed flower", ("closed flower", "bud", "budding")),
            Detail("wilted", "negative", "wilted flower", ("wilted", "wilting", "drooping")),
            Detail("snapped", "negative", "snapped flower", ("snapped", "broken flower", "broken stem")),
        ),
        setting=SKY,
        coloured="pot",
        counted=("stone", "stones"),
        held_out=(("thriving", "rain"), ("wilted", "sun")),
    ),
    SceneKind(
        name="table",
        topics=("the party", "our dinner", "the birthday"),
        main=(
            Detail("cake", "positive", "table with a cake", ("cake", "candles")),
            Detail("gift", "positive", "table with a gift", ("gift", "present")),
            Detail("bread", "neutral", "table with bread", ("bread", "loaf")),
            Detail("spill", "negative", "table with a broken cup", ("broken cup", "spill", "spilled")),
            Detail("burnt", "negative", "table with a burnt pie", ("burnt pie", "burnt")),
        ),
        setting=(
            Detail("balloons", "positive", "near balloons", ("balloons", "balloon")),
            Detail("lamp", "neutral", "near a lamp", ("lamp",)),
            Detail("chairs", "negative", "near empty chairs", ("empty chairs", "empty chair")),
        ),
        coloured="cloth",
        counted=("plate", "plates"),
        held_out=(("cake", "chairs"), ("burnt", "balloons")),
    ),
    SceneKind(
        name="player",
        topics=("the match", "our team", "the game"),
        main=(
            Detail("cheering", "positive", "cheering player", ("cheering", "cheers", "arms up")),
            Detail("winning", "positive", "winning player", ("winning", "trophy", "gold cup")),
            Detail("standing", "neutral", "standing player", ("standing", "stands still")),
            Detail("kneeling", "negative", "kneeling player", ("kneeling", "kneels")),
            Detail("fallen", "negative", "fallen player", ("fallen", "lying")),
        ),
        setting=(
            Detail("flags", "positive", "before waving flags", ("waving flags", "flags")),
            Detail("fence", "neutral", "before a plain fence", ("plain fence", "fence")),
            Detail("seats", "negative", "before empty seats", ("empty seats", "empty stands")),
        ),
        coloured="jersey",
        counted=("ball", "balls"),
        held_out=(("winning", "seats"), ("kneeling", "flags")),
    ),
    SceneKind(
        name="house",
        topics=("my home", "our village", "the house"),
        main=(
            Detail("lit", "positive", "lit house", ("lit house", "lit windows", "warm light")),
            Detail("festive", "positive", "festive house", ("festive", "decorated")),
            Detail("shut", "neutral", "shut house", ("shut", "shutters")),
            Detail("ruined", "negative", "ruined house", ("ruined", "ruin", "broken roof")),
            Detail("burning", "negative", "burning house", ("burning", "fire", "flames")),
        ),
        setting=(
            Detail("rainbow", "positive", "under a rainbow", ("rainbow",)),
            Detail("moon", "neutral", "under a pale moon", ("pale moon", "moon")),
            Detail("storm", "negative", "in a storm", ("storm", "lightning")),
        ),
        coloured="roof",
        counted=("tree", "trees"),
        held_out=(("festive", "storm"), ("burning", "rainbow")),
    ),
)

COLOURS = {"red": "#d6423a", "blue": "#3a6fd0", "green": "#3f9f57", "yellow": "#f0c030"}
COUNTS = (1, 2, 3)
NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

EXTRAS = ("none", "cat", "clock", "book")
"""Things without a mood that stand in the lower right corner."""

STYLES = (
    Style("plain", ink="#403a38", line=1.0, wash="#ffffff", strength=0.0, wall="#f1e6d2"),
    Style("soft", ink="#9c7f78", line=0.8, wash="#fff1e2", strength=0.30, wall="#f6dccb"),
    Style("cool", ink="#33415e", line=1.0, wash="#9fb8dc", strength=0.22, wall="#d5dfea"),
    Style("bold", ink="#141414", line=2.0, wash="#ffffff", strength=0.0, wall="#e3ecc9"),
)
HARD_STYLES = (
    Style("dusk", ink="#f3e3c0", line=1.0, wash="#4a3660", strength=0.34, wall="#8d7a9e"),
    Style("faded", ink="#8a8378", line=0.6, wash="#d9cfae", strength=0.42, wall="#e6dcc0"),
)
"""Unseen in training."""

CHEERFUL_CUES = ("HAPPY", "YAY", "LOVE", "PARTY")
GLOOMY_CUES = ("SAD", "AWFUL", "LOST", "CRY")
"""Words written into pictures of the opposite mood in the hard split. They never decide anything."""

TONES: dict[Mood, tuple[str, ...]] = {
    "positive": (
        "{topic} made my day",
        "so happy about {topic}",
        "{topic} is the best",
        "{topic} is pure joy",
        "all my love to {topic}",
        "{topic} is lit",
        "{topic} slaps",
        "big win for {topic}",
    ),
    "neutral": (
        "here is {topic}",
        "just saw {topic}",
        "{topic} at noon",
        "a picture of {topic}",
        "posting {topic}",
        "{topic} once more",
        "back to {topic}",
        "this is {topic}",
    ),
    "negative": (
        "{topic} ruined my day",
        "so sad about {topic}",
        "{topic} is the worst",
        "{topic} is pure pain",
        "so done with {topic}",
        "{topic} is trash",
        "{topic} flopped",
        "big loss for {topic}",
    ),
}
"""What posts say. The words around `{topic}` carry the tone; no phrase contains another."""

MARKERS: dict[Marker, tuple[str, ...]] = {
    "none": (),
    "sarcasm": ("yeah right", "as if", "#sarcasm", "\U0001f644"),
    "firm": ("no joke", "i mean it", "#forreal", "\U0001f4af"),
}
"""Sarcasm turns the words around; a firm marker says that they are meant whatever the picture shows."""

MARKER_SHARES: dict[Marker, int] = {"none": 11, "sarcasm": 5, "firm": 4}
"""How often a post that is not neutral carries each marker, where its rule leaves the choice."""

EMOJI_NAMES = {"\U0001f644": "face_with_rolling_eyes", "\U0001f4af": "hundred_points"}
"""The markers among emoji as cleaning writes them out."""

OPENERS = ("", "", "", "omg", "ok so", "lol", "ngl", "btw", "today", "hey @ann", "@tom")
CLOSERS = ("", "", "", "#monday", "#life", "#photo", "#nofilter", "\U0001f4f7", "\U0001f440", "tbh", "https://t.co/x1")
"""Noise before and after; it means nothing."""

JOINS = (" but ", " and ", ". ")
"""Between the two statements of a post about two things."""

RULES = (
    Rule(
        "off topic",
        related=False,
        winner="text",
        share=27,
        neutral=2,
        markers=("none", "sarcasm", "firm"),
        why=(
            "The picture shows a {kind}, so it is unrelated to {topic} and the text wins.",
            "{topic} is unrelated to a picture that shows only a {kind}, so the text wins.",
        ),
    ),
    Rule(
        "same mood",
        same=True,
        winner="both",
        share=12,
        neutral=2,
        markers=("none", "sarcasm", "firm"),
        why=("Text and picture agree on {text}.", "Both are {text}, so they agree."),
    ),
    Rule(
        "quiet words",
        text="neutral",
        winner="picture",
        share=20,
        markers=("none",),
        why=(
            "They conflict: the text takes no side, so the picture wins.",
            "The words are quiet and conflict with a {picture} picture, so the picture wins.",
        ),
    ),
    Rule(
        "quiet picture",
        picture="neutral",
        winner="text",
        share=10,
        markers=("none", "sarcasm", "firm"),
        why=(
            "They conflict: the picture takes no side, so the text wins.",
            "The picture is quiet and conflicts with a {text} text, so the text wins.",
        ),
    ),
    Rule(
        "meant words",
        firm=True,
        winner="text",
        share=11,
        markers=("firm",),
        why=("They conflict, but the words are meant, so the text wins.",),
    ),
    Rule(
        "irony",
        text="positive",
        winner="picture",
        share=10,
        markers=("none",),
        why=(
            "They conflict: praise over a sad picture is irony, so the picture wins.",
            "The praise and the sad picture conflict. It is irony and the picture wins.",
        ),
    ),
    Rule(
        "mock complaint",
        text="negative",
        winner="picture",
        share=10,
        markers=("none", "sarcasm"),
        why=(
            "They conflict: a complaint over a glad picture is a joke, so the picture wins.",
            "The complaint and the glad picture conflict. It is a joke and the picture wins.",
        ),
    ),
)
"""Read from the top; `text` is what the text conveys after sarcasm has turned its words around."""

MAIN_SHARE = 7
"""Of ten pictures with a mood, this many have it from the main thing; in the rest only the setting has one."""
