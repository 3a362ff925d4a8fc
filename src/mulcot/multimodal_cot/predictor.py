"""A trained pair of models that is asked: the first writes a rationale, the second answers with it in view.

    predictor = TwoStagePredictor.load("runs/science")
    predictor.predict([Post(text="Which flag is blue?", choices=("left", "right"), image="flags.png")])

It answers like `Predictor`: `chain` is the rationale, `chain_label` the answer in which it ends. A model that was
trained alone (QCM-A, QCM-RA, QCM-AR) is asked in the same way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.errors import MulcotError
from mulcot.features.store import FeatureStore
from mulcot.media import Gallery
from mulcot.multimodal_cot.feature_lookup import FeatureLookup
from mulcot.multimodal_cot.formats import (
    RATIONALE,
    answer_choices,
    answer_reading,
    rationale_reading,
    read_rationale,
    read_reply,
)
from mulcot.multimodal_cot.generate_and_score import WrittenText
from mulcot.multimodal_cot.model import FusionModel, load_fusion
from mulcot.multimodal_cot.model_format import ModelFormat, find_pair, load_model_format
from mulcot.multimodal_cot.question_builder import BuiltQuestion, QuestionBuilder
from mulcot.multimodal_cot.questions import T5Question
from mulcot.multimodal_cot.runner import ChoiceScores, T5Runner
from mulcot.multimodal_cot.streaming import StreamedRationale, stream_rationales
from mulcot.predict.base import Predictor
from mulcot.predict.model_folders import FUSION_FILE, load_temperature
from mulcot.predict.posts import Post, Prepared, refusal, unprepared
from mulcot.predict.prediction import label_prediction, with_chain, written_label
from mulcot.predict.streaming import StreamEvent
from mulcot.records import Example, Json, Prediction, Rejected
from mulcot.rundir import file_hash
from mulcot.tasks.saved_task import SavedTask, load_task

ANSWER_ROOM = 16
"""Tokens that an answer alone needs at most."""


class ModelWithFormat(NamedTuple):
    """One model and how it is asked."""

    model: FusionModel
    model_format: ModelFormat


class TwoStagePredictor(Predictor):
    """Two models, of which one explains and one answers; or one that does both in its own way."""

    file: ClassVar[str] = FUSION_FILE

    def __init__(
        self,
        answerer: ModelWithFormat,
        explainer: ModelWithFormat | None,
        saved: SavedTask,
        *,
        temperature: float = 1.0,
        decoding: Decoding = Decoding(),  # noqa: B008  (frozen)
        batch_size: int = 16,
        features: FeatureStore | None = None,
    ) -> None:
        self.answerer = answerer
        self.explainer = explainer
        """None where one model does everything."""
        self.task = saved.task
        self.cleaning = saved.cleaning
        self.temperature = temperature
        self.decoding = decoding
        """How rationales are written."""
        self.batch_size = batch_size
        self._lookup = lookup = FeatureLookup(answerer.model, features)
        self._explainer_lookup = lookup
        """Those of the model that explains: the same ones, unless its features are others."""
        if explainer is not None and explainer.model.vision != answerer.model.vision:
            self._explainer_lookup = FeatureLookup(explainer.model, features)
        for one in (answerer, explainer):
            if one is not None:
                one.model.network.eval()
        self.captions = any(one.model_format.captions for one in (answerer, explainer) if one is not None)
        self._builder = QuestionBuilder(saved, answerer.model_format, lookup, captions=self.captions)

    @classmethod
    def _open(cls, folder: Path, device: str, options: Mapping[str, Any]) -> Self:
        model_format, other = find_pair(folder)
        explainer = None if other is None else ModelWithFormat(load_fusion(other, device), load_model_format(other))
        answerer = ModelWithFormat(load_fusion(folder, device), model_format)
        others = [] if other is None else [other]
        fitted: dict[str, Any] = {} if "temperature" in options else {"temperature": load_temperature(folder, *others)}
        predictor = cls(answerer, explainer, load_task(folder), **fitted, **options)
        predictor.folder = folder
        return predictor

    @property
    def reads(self) -> tuple[str, ...]:
        """The texts of a post that it reads."""
        return self._builder.reads

    @property
    def chain_fields(self) -> tuple[str, ...]:
        """A rationale has no parts."""
        return (RATIONALE,)

    def identity(self) -> Json:
        """Everything that decides an answer but for rounding, as plain JSON."""
        folders = [] if self.folder is None else [self.folder]
        if self.folder is not None and self.answerer.model_format.rationale_model is not None:
            folders.append(self.folder / self.answerer.model_format.rationale_model)
        models = [self.answerer] if self.explainer is None else [self.answerer, self.explainer]
        return {
            "weights": [{p.name: file_hash(p) for p in sorted(each.glob("*.safetensors"))} for each in folders],
            "preprocessing": [each.model.preprocessing() for each in models],
            "formats": [each.model_format.model_dump(mode="json", exclude={"rationale_model"}) for each in models],
            "task": self.task.identity(),
            "cleaning": self.cleaning.identity(),
            "temperature": self.temperature,
            "decoding": self.decoding.identity(),
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
        """One answer or rejection per item. With `label_only` the rationale is written as well, but not returned."""
        if label_only and chain_only:
            raise ValueError("label_only and chain_only exclude each other")
        if chain_only and self.answerer.model_format.format == "QCM-A":
            raise MulcotError("this model answers directly; it writes no rationale", hint="Leave chain_only out.")
        built = [self._builder.build(item, gallery, number) for number, item in enumerate(items)]
        usable = [one for one in built if isinstance(one, BuiltQuestion)]
        answers = iter(self._answer(usable, generate=generate, chain_only=chain_only) if usable else ())
        found = [one if isinstance(one, Rejected) else next(answers) for one in built]
        return [_without_chain(one) if label_only and isinstance(one, Prediction) else one for one in found]

    def stream(self, item: Post | Example, gallery: Gallery | None = None) -> Iterator[str]:
        """The rationale of one item piece by piece, as it is written; leaving early stops the work."""
        built = self._builder.build(item, gallery, 0)
        if isinstance(built, Rejected):
            raise refusal(built)
        if self._explains:
            yield from (str(event.news) for event in self._stream_rationales({0: built}, streamed=(0,)) if event.news)
            return
        (found,) = self._answer([built], generate=False, chain_only=True)
        if found.chain:
            yield found.chain

    def prepare(self, item: Post | Example, *, label_only: bool = False) -> BuiltQuestion | Rejected:
        """The question with its opened pictures, each of which is kept once."""
        return self._builder.build(item, None, 0)

    def stream_batch(
        self, items: Sequence[Post | Example | Prepared], *, label_only: bool = False, streamed: Collection[int] = ()
    ) -> Iterator[StreamEvent]:
        """`predict`, telling everything as soon as it is known; leaving early stops the work.

        Per item: a piece of the rationale for every token (empty but for the items `streamed`), then the whole answer.
        """
        found = [
            item if isinstance(item, BuiltQuestion) else self._builder.build(unprepared(item), None, number)
            for number, item in enumerate(items)
        ]
        yield from (StreamEvent(row, one, last=True) for row, one in enumerate(found) if isinstance(one, Rejected))
        rows = {row: one for row, one in enumerate(found) if isinstance(one, BuiltQuestion)}
        if rows:
            yield from self._stream_batch(rows, [] if label_only else streamed, label_only=label_only)

    def _stream_batch(
        self, rows: Mapping[int, BuiltQuestion], streamed: Collection[int], *, label_only: bool
    ) -> Iterator[StreamEvent]:
        order, built = list(rows), list(rows.values())
        rationales: Sequence[StreamedRationale | None] = [None] * len(built)
        if self._explains:
            rationales = yield from self._stream_rationales(rows, streamed)
        answers = self._scored(built, rationales) if self.answerer.model_format.scored else self._written(built)
        for row, answer, rationale in zip(order, answers, rationales, strict=True):
            if row in streamed and not self._explains and answer.chain:
                yield StreamEvent(row, answer.chain)
            whole = _without_chain(answer) if label_only else answer
            yield StreamEvent(row, whole, True, 0, 0 if rationale is None else rationale.tokens)

    @property
    def chain_first(self) -> bool:
        """Whether the answer rests on a rationale, which has to be written before it."""
        return self._explains or self.answerer.model_format.format == "QCM-RA"

    @property
    def scores(self) -> bool:
        """Whether every choice is scored, instead of an answer written."""
        return self.answerer.model_format.scored

    def answer_with(
        self, examples: Sequence[Example], rationales: Sequence[str], gallery: Gallery, *, generate: bool = False
    ) -> list[Prediction | Rejected]:
        """The answers after given rationales, such as right ones or none."""
        built = [self._builder.build(example, gallery, number) for number, example in enumerate(examples)]
        usable = [one for one in built if isinstance(one, BuiltQuestion)]
        given = [
            StreamedRationale(text, True) if text else None
            for one, text in zip(built, rationales, strict=True)
            if isinstance(one, BuiltQuestion)
        ]
        answers = iter(self._generated(usable, given) if generate else self._scored(usable, given))
        return [one if isinstance(one, Rejected) else next(answers) for one in built]

    def _answer(self, built: Sequence[BuiltQuestion], *, generate: bool, chain_only: bool) -> list[Prediction]:
        if not self.answerer.model_format.scored:
            return [_without_label(one) if chain_only else one for one in self._written(built)]
        rationales = self._explain(built)
        if chain_only:
            pairs = zip(built, rationales, strict=True)
            return [_with_rationale(Prediction(id=one.example.id), one, rationale) for one, rationale in pairs]
        return self._generated(built, rationales) if generate else self._scored(built, rationales)

    @property
    def _explains(self) -> bool:
        return self.explainer is not None and self.answerer.model_format.scored

    def _explain(self, built: Sequence[BuiltQuestion]) -> list[StreamedRationale | None]:
        if self.explainer is None:
            return [None] * len(built)
        model, model_format = self.explainer
        questions = [model_format.question(self.task, one.example) for one in built]
        written = self._runner(model, built).write(questions, self.decoding)
        return [StreamedRationale(read_rationale(one.text), one.complete, shortened=one.shortened) for one in written]

    def _stream_rationales(
        self, rows: Mapping[int, BuiltQuestion], streamed: Collection[int]
    ) -> Generator[StreamEvent, None, list[StreamedRationale]]:
        """`_explain`, piece by piece."""
        assert self.explainer is not None
        model, model_format = self.explainer
        questions = {row: model_format.question(self.task, one.example) for row, one in rows.items()}
        return stream_rationales(self._runner(model, list(rows.values())), questions, self.decoding, streamed)

    def _scored(
        self, built: Sequence[BuiltQuestion], rationales: Sequence[StreamedRationale | None]
    ) -> list[Prediction]:
        model = self.answerer.model
        questions = self._questions(built, rationales)
        scores = self._runner(model, built).score(questions, [answer_choices(one.asked) for one in built])
        rows = zip(built, rationales, scores, strict=True)
        return [
            _with_rationale(_scored_label(one, scored, self.temperature), one, rationale)
            for one, rationale, scored in rows
        ]

    def _generated(
        self, built: Sequence[BuiltQuestion], rationales: Sequence[StreamedRationale | None]
    ) -> list[Prediction]:
        """The answer written instead of scored, as published; it may name none."""
        model = self.answerer.model
        questions = self._questions(built, rationales)
        replies = self._runner(model, built).write(questions, Decoding(max_tokens=ANSWER_ROOM))
        rows = zip(built, rationales, replies, strict=True)
        return [
            _with_rationale(_written_label(one, reply.text, reply), one, rationale) for one, rationale, reply in rows
        ]

    def _questions(
        self, built: Sequence[BuiltQuestion], rationales: Sequence[StreamedRationale | None]
    ) -> list[T5Question]:
        model_format = self.answerer.model_format
        pairs = zip(built, rationales, strict=True)
        return [
            model_format.question(self.task, one.example, rationale.text if rationale else "")
            for one, rationale in pairs
        ]

    def _written(self, built: Sequence[BuiltQuestion]) -> list[Prediction]:
        """Rationale and answer from one writing."""
        model, model_format = self.answerer
        questions = [model_format.question(self.task, one.example) for one in built]
        found = []
        for one, reply in zip(built, self._runner(model, built).write(questions, self.decoding), strict=True):
            said = read_reply(reply.text, model_format.format)  # type: ignore[arg-type]
            rationale = None if said.rationale is None else StreamedRationale(said.rationale, reply.complete)
            found.append(_with_rationale(_written_label(one, said.answer, reply), one, rationale))
        return found

    def _runner(self, model: FusionModel, built: Sequence[BuiltQuestion]) -> T5Runner:
        pictures = {key: picture for one in built for key, picture in one.pictures.items()}
        lookup = self._lookup if model is self.answerer.model else self._explainer_lookup
        return T5Runner(model, lookup.find(pictures), self.batch_size)


def _scored_label(one: BuiltQuestion, scored: ChoiceScores, temperature: float) -> Prediction:
    labels = one.asked.labels
    return label_prediction(one.example.id, labels, scored.logprobs, temperature, shortened=scored.shortened)


def _written_label(one: BuiltQuestion, answer: str, reply: WrittenText) -> Prediction:
    reading, published = answer_reading(one.asked, answer), one.asked.read_published(reply.text)
    return written_label(one.example.id, reply.text, reading, published, shortened=reply.shortened)


def _with_rationale(prediction: Prediction, one: BuiltQuestion, rationale: StreamedRationale | None) -> Prediction:
    if rationale is None:
        return prediction
    text, reading = rationale.text, rationale_reading(one.asked, rationale.text)
    return with_chain(prediction, text, reading, complete=rationale.complete, shortened=rationale.shortened)


def _without_label(found: Prediction) -> Prediction:
    return dataclasses.replace(found, label=None, reply=None, published_label=None, problem="", agrees=None)


def _without_chain(found: Prediction) -> Prediction:
    return dataclasses.replace(found, chain=None, fields={}, chain_label=None, chain_problem="", cut=False, agrees=None)
