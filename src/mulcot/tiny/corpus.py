"""The texts that the tokenizer is made from: prompts, posts, captions and chains, so that most words are one token.

Only the vocabulary comes from here; no model reads a chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from mulcot.records import Example, ImageRef
from mulcot.tasks.aspect_sentiment import AspectSentiment
from mulcot.tasks.base import Purpose
from mulcot.tasks.sentiment import Sentiment
from mulcot.world.chains import describe, write_chain
from mulcot.world.posts import posts

DESCRIBE = "Describe the picture."
REPEAT = "Repeat the post."
HEAR = "Say which words are about what."
COMPARE = "Say what the post and the picture are about."
MATCH = "Say whether the post is about what the picture shows."
LOOK = "Name the main thing of the picture and where it is."
TOPIC = "Name the kind of thing that the post is about."
ASKS = (DESCRIBE, REPEAT, HEAR, COMPARE, MATCH, LOOK, TOPIC)
"""What lessons ask for."""

POSTS = 1200
WEIGHT = 40
"""How often a prompt counts: its words come in every row, but only a few prompts exist."""


def corpus() -> Iterator[str]:
    """Every text once, prompts several times."""
    for task, aspects in ((Sentiment(), False), (AspectSentiment(), True)):
        for number, post in enumerate(posts(0, "train", POSTS, aspects=aspects)):
            example = Example(id="", split="train", text=post.text, aspect=post.aspect, images=(ImageRef(path=""),))
            prompts = [task.prompt(example, purpose) for purpose in (Purpose.CHAIN, Purpose.LABEL)]
            yield f"{prompts[0].post}\n\n"
            yield task.write_chain(write_chain(post.truth, number))
            yield task.write_label(post.truth.label)
            yield describe(post.scene, number)
            if number < WEIGHT:
                yield from (f"system\n{prompts[0].system}", "user\n", "assistant\n")
                yield from (prompt.ask for prompt in prompts)
                yield from ASKS


@lru_cache(maxsize=1)
def chain_words() -> tuple[str, ...]:
    """Every word that chains and posts use, in alphabetical order: out of any order, they say nothing."""
    words: set[str] = set()
    for number, post in enumerate(posts(0, "train", POSTS)):
        words.update(Sentiment().write_chain(write_chain(post.truth, number)).split())
        words.update(post.text.split())
    return tuple(sorted(words))
