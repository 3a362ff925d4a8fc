"""A trained model that is asked: label and chain from one reading of picture and post.

    predictor = JointPredictor.load("runs/demo")
    predictor.predict([Post(text="what a day", image="day.jpg")])

The label is scored exactly over the label set, so there always is one; the chain is written from the same cache. With
`generate` both are written instead, each by a pass of its own, which is the published protocol.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from mulcot.backbones.base import BACKBONE_FILE, load_folder
from mulcot.backbones.vlm.answer import ModelAnswer, answers
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.example_encoder import ExampleEncoder, pictures_of
from mulcot.backbones.vlm.generation import Chain, stream
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.prefill import prefill
from mulcot.errors import MediaError
from mulcot.media import Gallery
from mulcot.media.safe_opening import DEFAULT_LIMITS
from mulcot.predict.base import ChatModel, Predictor
from mulcot.predict.model_folders import load_temperature
from mulcot.predict.posts import Post, Prepared, example_of, refusal, unprepared
from mulcot.predict.prediction import label_prediction, with_chain, written_label
from mulcot.predict.streaming import Detokenizer, StreamEvent, stream_batch
from mulcot.records import Example, Json, Prediction, Rejected
from mulcot.rundir import file_hash
from mulcot.tasks.saved_task import SavedTask, load_task

LONGEST = 8192
"""Tokens of picture and post, the published limit; a longer example is rejected alone instead of filling the memory."""


class Wanted(NamedTuple):
    """Which branches are asked for."""

    chain: bool
    label: bool
    written: bool = False
    """The label is written like a chain, and nothing else: the published way."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedItem(Prepared):
    """An example as the model sees it; the opened picture is no longer needed."""

    example: Example
    encoded: Encoded

    @property
    def nbytes(self) -> int:
        """What its picture takes in memory."""
        return 0 if self.encoded.pixels_NF is None else self.encoded.pixels_NF.nbytes


class JointPredictor(Predictor):
    """One model that gives label and chain."""

    file: ClassVar[str] = BACKBONE_FILE

    def __init__(
        self,
        model: LoadedModel,
        asked: SavedTask,
        *,
        temperature: float = 1.0,
        decoding: Decoding = Decoding(),  # noqa: B008  (frozen)
        batch_size: int = 16,
        longest: int = LONGEST,
    ) -> None:
        self.model = model
        self._saved = asked
        self.task = asked.task
        self._encoder = ExampleEncoder(model, asked.task)
        self.cleaning = asked.cleaning
        self.temperature = temperature
        self.decoding = decoding
        self.batch_size = batch_size
        self.longest = longest
        self.synthetic = model.settings.name == "tiny"

    @classmethod
    def _open(cls, folder: Path, device: str, options: Mapping[str, Any]) -> Self:
        saved = load_task(folder)
        model = load_folder(folder, device)
        model.network.merge()
        fitted: dict[str, Any] = {} if "temperature" in options else {"temperature": load_temperature(folder)}
        predictor = cls(model, saved, **fitted, **options)
        predictor.folder = folder
        return predictor

    @property
    def chat(self) -> ChatModel | None:
        """The model itself, where it has a chat mark-up."""
        return None if self.model.markup is None else ChatModel(self.model, self.longest)

    def ready(self) -> AbstractContextManager[Any]:
        """See `answering` of the network."""
        return self.model.network.answering()

    def identity(self) -> Json:
        """Everything that decides an answer but for rounding, as plain JSON."""
        weights = (
            {} if self.folder is None else {p.name: file_hash(p) for p in sorted(self.folder.glob("*.safetensors"))}
        )
        return {
            "weights": weights,
            "preprocessing": self.model.preprocessing(),
            "task": self.task.identity(),
            "cleaning": self.cleaning.identity(),
            "temperature": self.temperature,
            "decoding": self.decoding.identity(),
            "longest": self.longest,
        }

    def predict(
        self,
        items: Sequence[Post | Example],
        gallery: Gallery | None = None,
        *,
        label_only: bool = False,
        chain_only: bool = False,
        generate: bool = False,
    ) -> list[Prediction | Rejected]:
        """One answer or rejection per item. `gallery` holds the pictures of examples; posts bring their own."""
        if label_only and chain_only:
            raise ValueError("label_only and chain_only exclude each other")
        if chain_only or not generate:
            want = Wanted(chain=not label_only, label=not chain_only)
            return [self._scored_prediction(one, want) for one in self._answers(items, gallery, want)]
        written = Wanted(chain=False, label=False, written=True)
        named = [self._with_written_label(one) for one in self._answers(items, gallery, written)]
        if label_only:
            return named
        chains = self._answers(items, gallery, Wanted(chain=True, label=False))
        return [self._with_written_chain(before, one) for before, one in zip(named, chains, strict=True)]

    def stream(self, item: Post | Example, gallery: Gallery | None = None) -> Iterator[str]:
        """The chain of one item piece by piece, as it is written; leaving early stops the work."""
        asked = self._ask(item, gallery, Wanted(chain=True, label=False), 0)
        if isinstance(asked, Rejected):
            raise refusal(asked)
        detokenizer = Detokenizer(self.model.text)
        for token in stream(prefill(self.model, [asked.encoded], self.decoding.max_tokens), self.decoding):
            if piece := "" if token.end else detokenizer.add(token.id):
                yield piece
        if rest := detokenizer.rest():
            yield rest

    def prepare(self, item: Post | Example, *, label_only: bool = False) -> Prepared | Rejected:
        """An item for `stream_batch`, made ready without the model, so in any thread."""
        return self._ask(item, None, Wanted(chain=not label_only, label=True), 0)

    def stream_batch(
        self, items: Sequence[Post | Example | Prepared], *, label_only: bool = False, streamed: Collection[int] = ()
    ) -> Iterator[StreamEvent]:
        """`predict` for one batch, telling everything as soon as it is known; leaving early stops the work.

        Per item: first the prediction with the label alone, then a piece of the chain for every token (empty but for
        the items `streamed`), so that the caller can do other things between two steps of the model, last the whole.
        """
        want = Wanted(chain=not label_only, label=True)
        asked = [
            item if isinstance(item, EncodedItem) else self._ask(unprepared(item), None, want, number)
            for number, item in enumerate(items)
        ]
        yield from (StreamEvent(row, one, last=True) for row, one in enumerate(asked) if isinstance(one, Rejected))
        rows = {row: (one.example, one.encoded) for row, one in enumerate(asked) if isinstance(one, EncodedItem)}
        if rows:
            yield from stream_batch(self.model, self.task, rows, streamed, self.decoding, self.temperature)

    def _answers(
        self, items: Sequence[Post | Example], gallery: Gallery | None, want: Wanted
    ) -> Iterator[tuple[Example, ModelAnswer] | Rejected]:
        """What the model says to every item that can be asked, with the rejected ones between them.

        Pictures are opened when a slot is free for their example.
        """
        order: deque[Example | Rejected] = deque()

        def questions() -> Iterator[Encoded]:
            for number, item in enumerate(items):
                one = self._ask(item, gallery, want, number)
                order.append(one.example if isinstance(one, EncodedItem) else one)
                if isinstance(one, EncodedItem):
                    yield one.encoded

        for said in answers(self.model, questions(), self.decoding, self.batch_size):
            while isinstance(one := order.popleft(), Rejected):
                yield one
            yield one, said
        yield from (one for one in order if isinstance(one, Rejected))

    def _ask(self, item: Post | Example, gallery: Gallery | None, want: Wanted, number: int) -> EncodedItem | Rejected:
        """The prompts and pictures of one item as tokens and patches."""
        example, source = example_of(item, self._saved, self.reads, number), f"item {number + 1}"
        if isinstance(example, Rejected):
            return example
        try:
            pictures = item.pictures(DEFAULT_LIMITS) if isinstance(item, Post) else pictures_of(item, gallery)
        except MediaError as error:
            return Rejected(source=source, reason=error.reason, detail=error.message, id=example.id)
        encoded = self._encoder.question(example, pictures, **want._asdict())
        if len(encoded.prefix) > self.longest:
            detail = f"picture and post are {len(encoded.prefix):,} tokens, allowed {self.longest:,}"
            return Rejected(source=source, reason="too_long", detail=detail, id=example.id)
        return EncodedItem(example, encoded)

    def _scored_prediction(self, one: tuple[Example, ModelAnswer] | Rejected, want: Wanted) -> Prediction | Rejected:
        """With the scored label, the chain, or both."""
        if isinstance(one, Rejected):
            return one
        example, said = one
        prediction = Prediction(id=example.id)
        if want.label:
            labels = self.task.labels(example)
            prediction = label_prediction(example.id, labels, said.label_logprobs, self.temperature)
        return prediction if said.chain is None else self._with_chain(prediction, example, said.chain)

    def _with_written_label(self, one: tuple[Example, ModelAnswer] | Rejected) -> Prediction | Rejected:
        """With the label that was written."""
        if isinstance(one, Rejected):
            return one
        example, said = one
        assert said.chain is not None
        reply = said.chain.text
        reading, published = self.task.read(reply, example), self.task.read_published(reply, example)
        return written_label(example.id, reply, reading, published)

    def _with_written_chain(
        self, before: Prediction | Rejected, one: tuple[Example, ModelAnswer] | Rejected
    ) -> Prediction | Rejected:
        """With the chain that was written, besides the label."""
        if isinstance(before, Rejected):
            return before
        if isinstance(one, Rejected):
            return one
        example, said = one
        assert said.chain is not None
        return self._with_chain(before, example, said.chain)

    def _with_chain(self, prediction: Prediction, example: Example, chain: Chain) -> Prediction:
        return with_chain(prediction, chain.text, self.task.read(chain.text, example), complete=chain.complete)
