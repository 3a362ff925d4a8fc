"""What the simulated teacher answers: a function of the request and of nothing else.

Whether it judges a post rightly depends on the post alone, as a real model judges it in the
same way when asked again. How its reply is malformed depends on the whole request, so asking otherwise helps.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Literal

from mulcot.records import content_id
from mulcot.teacher.simulation.request_reading import ParsedRequest
from mulcot.teacher.simulation.settings import Simulation
from mulcot.world.chains import describe, write_chain, write_wrong_chain
from mulcot.world.posts import make_post
from mulcot.world.scene import Scene
from mulcot.world.science import ScienceTruth
from mulcot.world.science_chains import write_science_chain, write_wrong_science_chain
from mulcot.world.science_vocabulary import CAPTIONS
from mulcot.world.truth import Truth

Finish = Literal["stop", "length", "content_filter"]

LEAKS = (
    "Since the label is {label}, this fits.",
    "This agrees with the given label.",
    "As the label was given to us as {label}, nothing else remains.",
)
REFUSALS = ("I'm sorry, but I can't help with that.", "As an AI model I am not able to judge this post.")
TOKENS = ("<|im_end|>", "<|im_start|>assistant", "<|image_pad|>", "</s>", "[INST]")
IMAGE_TOKENS, TOKENS_PER_WORD = 100, 1.3


@dataclass(frozen=True)
class SimulatedReply:
    """One reply."""

    text: str
    finish: Finish = "stop"
    refusal: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


def answer(asked: ParsedRequest, simulation: Simulation, max_tokens: int | None, draw: str) -> SimulatedReply:
    """The reply to a request; `draw` is what else decides how it is drawn, such as temperature and seed."""
    known = str(asked.shown or asked.truth)
    dice = random.Random(content_id(str(simulation.seed), asked.system, asked.user, known, draw))
    if asked.describe:
        reply = _withheld(_pick(simulation, dice), dice) or SimulatedReply(_description(asked, dice.randrange(2**31)))
    else:
        reply = _mangle(_chain(asked, simulation, dice), asked, simulation, dice)
    prompt = round(TOKENS_PER_WORD * len(f"{asked.system} {asked.user}".split())) + IMAGE_TOKENS * asked.pictures
    words = reply.text.split(" ")
    room = len(words) if max_tokens is None else int(max_tokens / TOKENS_PER_WORD)
    finish: Finish = reply.finish if len(words) <= room else "length"
    text = " ".join(words[:room])
    completion = round(TOKENS_PER_WORD * len(text.split()))
    return SimulatedReply(text, finish, reply.refusal, prompt, completion)


def own_label(asked: ParsedRequest, simulation: Simulation) -> str:
    """The label it arrives at on its own."""
    dice = random.Random(content_id("opinion", str(simulation.seed), str(asked.truth), asked.user.split("\n")[0]))
    if asked.right is None:
        return dice.choice(asked.labels)
    wrong = [label for label in asked.labels if label != asked.right]
    right = dice.random() < simulation.skill + simulation.bias.get(asked.right, 0.0)
    return asked.right if right or not wrong else dice.choice(wrong)


def _chain(asked: ParsedRequest, simulation: Simulation, dice: random.Random) -> dict[str, str]:
    label = asked.given if asked.given in asked.labels else own_label(asked, simulation)
    assert label is not None
    if asked.truth is None:
        return _blind(asked, label)
    return _written(asked.truth, label, dice.randrange(2**31))


def _written(truth: Truth | ScienceTruth, label: str, seed: int) -> dict[str, str]:
    if isinstance(truth, ScienceTruth):
        right = truth.label == label
        return write_science_chain(truth, seed) if right else write_wrong_science_chain(truth, label, seed)
    return write_chain(truth, seed) if truth.label == label else write_wrong_chain(truth, label, seed)


def _blind(asked: ParsedRequest, label: str) -> dict[str, str]:
    """What is said about something that is not understood."""
    first, rest = (
        ("Question_analysis", "Reasoning") if asked.labels[0] == "A" else ("Text_analysis", "Conflict_resolution")
    )
    return {
        first: "The words are hard to make out.",
        "Image_analysis": "The picture is hard to make out." if asked.pictures else "There is no picture.",
        rest: "Nothing can be held against this.",
        "Final_conclusion": f"So it is {label}.",
        "Prediction": label,
    }


def _description(asked: ParsedRequest, seed: int) -> str:
    """What is on the picture; of a board only what kind of board it is."""
    if isinstance(asked.shown, Scene):
        return describe(asked.shown, seed)
    return CAPTIONS[asked.shown.kind] if asked.shown else "The picture is hard to make out."


def _mangle(chain: dict[str, str], asked: ParsedRequest, simulation: Simulation, dice: random.Random) -> SimulatedReply:
    """The chain as text, malformed in at most one way."""
    kind = _pick(simulation, dice)
    names = list(chain)
    withheld = _withheld(kind, dice)
    if withheld is not None:
        return withheld
    if kind == "missing_fields":
        for name in dice.sample(names, dice.randint(1, 2)):
            del chain[name]
    elif kind == "unparsable":
        chain["Prediction"] = dice.choice(("mixed feelings", "hard to say", "all of them"))
    elif kind == "leak" and asked.given:
        chain["Final_conclusion"] += " " + dice.choice(LEAKS).format(label=asked.given)
    elif kind == "control_tokens":
        name = dice.choice(names[:-1])
        chain[name] = f"{dice.choice(TOKENS)} {chain[name]} {dice.choice(TOKENS)}"
    elif kind == "foreign" and isinstance(asked.truth, Truth):
        other = make_post(dice.randrange(2**31), "train", 0).truth
        chain = _written(other, other.label, 0)
    text = _quoted(chain)
    if kind == "dressed":
        text = dice.choice((_fenced, _headed, _unquoted))(chain)
    if kind == "truncated":
        return SimulatedReply(text[: dice.randrange(len(text) // 4, len(text) * 3 // 4)], "length")
    return SimulatedReply(text)


def _withheld(kind: str, dice: random.Random) -> SimulatedReply | None:
    """A reply that says nothing to the matter; None for mistakes of another kind."""
    if kind == "empty":
        return SimulatedReply("")
    if kind == "refused":
        refusal = dice.choice(REFUSALS)
        return SimulatedReply(refusal, refusal=refusal if dice.random() < 0.5 else None)
    return SimulatedReply("", "content_filter") if kind == "filtered" else None


def _pick(simulation: Simulation, dice: random.Random) -> str:
    place = dice.random()
    for kind, share in simulation.mistakes.identity().items():
        place -= float(share)
        if place < 0:
            return kind
    return ""


def _quoted(chain: dict[str, str]) -> str:
    return "\n".join(f'"{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in chain.items())


def _fenced(chain: dict[str, str]) -> str:
    return f"```json\n{json.dumps(chain, ensure_ascii=False, indent=2)}\n```"


def _headed(chain: dict[str, str]) -> str:
    return "\n\n".join(f"### {name}\n{value}" for name, value in chain.items())


def _unquoted(chain: dict[str, str]) -> str:
    return "\n".join(f"**{name}:** {value}" for name, value in chain.items())
