"""Each method, declared once as the steps it goes through. Whatever else lists stages or models asks it.

    MULCOT_RD = register(Method("mulcot-rd", steps=(Step("dataset"), Step("teacher"), ...)))

Another package joins in with an entry point of the group `mulcot.methods`, whose module registers a method of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from mulcot.errors import MulcotError, UnknownName
from mulcot.registry import load_entry_points

GROUP = "mulcot.methods"
"""The group of entry points through which other packages add methods."""


@dataclass(frozen=True)
class Step:
    """One stage of a method."""

    stage: str
    """What the stage is called: its section, its folder, and the model that it trains."""
    did: str = ""
    """What model cards say that it did, after its name."""
    optional: bool = False
    """Whether the method does without it where the recipe does not describe it."""
    trains: bool = False
    """Whether a model learns in it."""
    explains: bool = False
    """Whether people read what its model writes."""
    registered: str = ""
    """The name under which the stage is registered, where another one has the plain name."""

    @property
    def plugin(self) -> str:
        """The name under which the stage is registered."""
        return self.registered or self.stage


@dataclass(frozen=True)
class Method:
    """A way from data to a model: which stages run in which order, and what their models are."""

    name: str
    steps: tuple[Step, ...]
    baselines: tuple[str, ...] = ()
    """What an evaluation puts beside the models, in the order in which it is shown."""
    floors: tuple[str, ...] = ()
    """Those of them that the final model must beat."""
    chain: str = "chain"
    """What its models write beside the label is called."""

    def __post_init__(self) -> None:
        names = [step.stage for step in self.steps]
        if len(set(names)) < len(names) or names[:1] != ["dataset"] or not self.trained:
            hint = "A method begins with dataset, names each stage once, and trains a model."
            raise MulcotError(f"the method {self.name!r} cannot be: {', '.join(names)}", hint=hint)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The stages in order."""
        return tuple(step.stage for step in self.steps)

    @cached_property
    def optional(self) -> tuple[str, ...]:
        """The stages that it does without where the recipe does not describe them."""
        return tuple(step.stage for step in self.steps if step.optional)

    @cached_property
    def trained(self) -> tuple[str, ...]:
        """The models that learn, in order; each is called as its stage."""
        return tuple(step.stage for step in self.steps if step.trains)

    @cached_property
    def explaining(self) -> tuple[str, ...]:
        """The models whose chains people read."""
        return tuple(step.stage for step in self.steps if step.explains)

    @property
    def final_model(self) -> str:
        """The model that a run is made for: the last one that learns."""
        return self.trained[-1]

    def step(self, stage: str) -> Step:
        """One of its steps."""
        return self.steps[self.stages.index(stage)]

    def number(self, stage: str) -> int:
        """A stage's place in the order, counted from 1."""
        return 1 + self.stages.index(stage)


_methods: dict[str, Method] = {}


def register(method: Method) -> Method:
    """Makes a method known under its name."""
    if _methods.setdefault(method.name, method) != method:
        raise MulcotError(f"two methods are registered as {method.name!r}")
    return method


def methods() -> dict[str, Method]:
    """All methods by name, those of other packages last."""
    load_entry_points(GROUP)
    return dict(_methods)


def method_named(name: str) -> Method:
    """The method of that name."""
    known = methods()
    if name not in known:
        raise UnknownName("method", name, known)
    return known[name]


def across(part: Callable[[Method], Sequence[str]]) -> tuple[str, ...]:
    """What all methods name, such as the models that learn, in one order that keeps each method's own."""
    found: list[str] = []
    for method in methods().values():
        place = len(found)
        for name in reversed(part(method)):
            if name not in found:
                found.insert(place, name)
            place = found.index(name)
    return tuple(found)


MULCOT_RD = register(
    Method(
        "mulcot-rd",
        steps=(
            Step("dataset"),
            Step("teacher", did="wrote the chains that were accepted"),
            Step("assistant", did="learned from them", optional=True, trains=True),
            Step("annotate", did="wrote chains of its own, and soft labels for every target token", optional=True),
            Step("student", did="learned from all of this", trains=True, explains=True),
            Step("evaluate"),
            Step("report"),
        ),
        baselines=("without_distillation", "text_only", "image_only", "majority"),
        floors=("without_distillation", "text_only", "image_only", "majority"),
    )
)
MULTIMODAL_COT = register(
    Method(
        "multimodal-cot",
        steps=(
            Step("dataset"),
            Step("teacher", did="wrote the chains that were accepted", optional=True),
            Step("features", did="looked at every picture once", optional=True),
            Step("rationale", did="learned to explain", optional=True, trains=True, explains=True),
            Step("answer", did="learned to answer", trains=True, explains=True),
            Step("evaluate", registered="evaluate_questions"),
            Step("report"),
        ),
        baselines=("gold_rationale", "no_rationale", "text_only", "majority"),
        floors=("text_only", "majority"),
        chain="rationale",
    )
)
DEFAULT = MULCOT_RD
"""The method of a recipe that names none."""
