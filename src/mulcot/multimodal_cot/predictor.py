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
from typing import Any, NamedTuple, Self

import torch

from mulcot.backbones.vlm.decoding import Decoding
from mulcot.errors import MulcotError
from mulcot.features.store import FeatureStore
from mulcot.media import Gallery
from mulcot.multimodal_cot.asking_options import Wording, find_pair, load_wording
from mulcot.multimodal_cot.feature_lookup import Eyes
from mulcot.multimodal_cot.formats import RATIONALE, answer_choices, read_rationale, read_reply
from mulcot.multimodal_cot.model import FusionModel, load_fusion
from mulcot.multimodal_cot.question_builder import Posed, Poser
from mulcot.multimodal_cot.questions import Question
from mulcot.multimodal_cot.runner import Clerk, Scored
from mulcot.multimodal_cot.streaming import Rationale, dictate
from mulcot.multimodal_cot.writing import Written
from mulcot.predict.model_folders import find_model, load_temperature
from mulcot.predict.posts import Post
from mulcot.predict.prediction import softmax
from mulcot.predict.streaming import Told
from mulcot.records import Example, Json, Prediction, Rejected
from mulcot.rundir import file_hash
from mulcot.tasks.saved import SavedTask, load_task

ANSWER_ROOM = 16
"""Tokens that an answer alone needs at most."""


class Speaker(NamedTuple):
    """One model and how it is asked."""

    model: FusionModel
    wording: Wording


class TwoStagePredictor:
    """Answers for posts, questions and examples, always in their order."""

    def __init__(
        self,
        answerer: Speaker,
        explainer: Speaker | None,
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
        self.folder: Path | None = None
        """Where the answering model lies, if it was loaded."""
        self._eyes = eyes = Eyes(answerer.model, features)
        self._eyes_first = eyes
        """Those of the model that explains: the same ones, unless its features are others."""
        if explainer is not None and explainer.model.vision != answerer.model.vision:
            self._eyes_first = Eyes(explainer.model, features)
        for one in (answerer, explainer):
            if one is not None:
                one.model.network.eval()
        self.captions = any(one.wording.captions for one in (answerer, explainer) if one is not None)
        """Whether captions are part of what is read."""
        self._poser = Poser(saved, answerer.wording, eyes, captions=self.captions)

    @classmethod
    def load(cls, path: Path | str, device: str | None = None, **options: Any) -> Self:
        """The models of a run folder, of the folder of a stage `answer`, or of a model folder in it."""
        folder = find_model(Path(path))
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        wording, other = find_pair(folder)
        explainer = None if other is None else Speaker(load_fusion(other, chosen), load_wording(other))
        answerer = Speaker(load_fusion(folder, chosen), wording)
        if "temperature" not in options:
            options["temperature"] = load_temperature(folder, *([] if other is None else [other]))
        predictor = cls(answerer, explainer, load_task(folder), **options)
        predictor.folder = folder
        return predictor

    @property
    def reads(self) -> tuple[str, ...]:
        """The texts of a post that it reads."""
        return self._poser.reads

    @property
    def portion(self) -> int:
        """How many items to give to `predict` at once, where there are many."""
        return 4 * self.batch_size

    def identity(self) -> Json:
        """Everything that decides an answer but for rounding, as plain JSON."""
        folders = [] if self.folder is None else [self.folder]
        if self.folder is not None and self.answerer.wording.rationale_model is not None:
            folders.append(self.folder / self.answerer.wording.rationale_model)
        speakers = [self.answerer] if self.explainer is None else [self.answerer, self.explainer]
        return {
            "weights": [{p.name: file_hash(p) for p in sorted(each.glob("*.safetensors"))} for each in folders],
            "preprocessing": [each.model.preprocessing() for each in speakers],
            "formats": [each.wording.model_dump(mode="json", exclude={"rationale_model"}) for each in speakers],
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
        if chain_only and self.answerer.wording.format == "QCM-A":
            raise MulcotError("this model answers at once; it writes no rationale", hint="Leave chain_only out.")
        posed = [self._poser.pose(item, gallery, number) for number, item in enumerate(items)]
        usable = [one for one in posed if isinstance(one, Posed)]
        answers = iter(self._answer(usable, generate=generate, chain_only=chain_only) if usable else ())
        found = [one if isinstance(one, Rejected) else next(answers) for one in posed]
        return [_without_chain(one) if label_only and isinstance(one, Prediction) else one for one in found]

    def stream(self, item: Post | Example, gallery: Gallery | None = None) -> Iterator[str]:
        """The rationale of one item piece by piece, as it is written; leaving early stops the work."""
        posed = self._poser.pose(item, gallery, 0)
        if isinstance(posed, Rejected):
            raise MulcotError(f"this cannot be asked: {posed.detail}", hint=f"The reason is {posed.reason!r}.")
        if self._explains:
            yield from (str(told.news) for told in self._dictate({0: posed}, spoken=(0,)) if told.news)
            return
        (found,) = self._answer([posed], generate=False, chain_only=True)
        if found.chain:
            yield found.chain

    def unfold(
        self, items: Sequence[Post | Example], *, label_only: bool = False, spoken: Collection[int] = ()
    ) -> Iterator[Told]:
        """`predict`, telling everything as soon as it is known; leaving early stops the work.

        Per item: a piece of the rationale for every token (empty but for the items `spoken`), then the whole answer.
        """
        found = [self._poser.pose(item, None, number) for number, item in enumerate(items)]
        yield from (Told(row, one, last=True) for row, one in enumerate(found) if isinstance(one, Rejected))
        rows = {row: one for row, one in enumerate(found) if isinstance(one, Posed)}
        if rows:
            yield from self._unfold(rows, [] if label_only else spoken, label_only=label_only)

    def _unfold(self, rows: Mapping[int, Posed], spoken: Collection[int], *, label_only: bool) -> Iterator[Told]:
        order, posed = list(rows), list(rows.values())
        rationales: Sequence[Rationale | None] = [None] * len(posed)
        if self._explains:
            rationales = yield from self._dictate(rows, spoken)
        answers = self._scored(posed, rationales) if self.answerer.wording.scored else self._written(posed)
        for row, answer, rationale in zip(order, answers, rationales, strict=True):
            if row in spoken and not self._explains and answer.chain:
                yield Told(row, answer.chain)
            whole = _without_chain(answer) if label_only else answer
            yield Told(row, whole, True, 0, 0 if rationale is None else rationale.tokens)

    @property
    def explains_first(self) -> bool:
        """Whether the answer rests on a rationale, which has to be written before it."""
        return self._explains or self.answerer.wording.format == "QCM-RA"

    @property
    def scores(self) -> bool:
        """Whether every choice is scored, instead of an answer written."""
        return self.answerer.wording.scored

    def answer_with(
        self, examples: Sequence[Example], rationales: Sequence[str], gallery: Gallery, *, generate: bool = False
    ) -> list[Prediction | Rejected]:
        """The answers after given rationales, such as right ones or none."""
        posed = [self._poser.pose(example, gallery, number) for number, example in enumerate(examples)]
        usable = [one for one in posed if isinstance(one, Posed)]
        given = [
            Rationale(text, True) if text else None
            for one, text in zip(posed, rationales, strict=True)
            if isinstance(one, Posed)
        ]
        answers = iter(self._generated(usable, given) if generate else self._scored(usable, given))
        return [one if isinstance(one, Rejected) else next(answers) for one in posed]

    def _answer(self, posed: Sequence[Posed], *, generate: bool, chain_only: bool) -> list[Prediction]:
        if not self.answerer.wording.scored:
            return [_without_label(one) if chain_only else one for one in self._written(posed)]
        rationales = self._explain(posed)
        if chain_only:
            pairs = zip(posed, rationales, strict=True)
            return [_with_rationale(Prediction(id=one.example.id), one, rationale) for one, rationale in pairs]
        return self._generated(posed, rationales) if generate else self._scored(posed, rationales)

    @property
    def _explains(self) -> bool:
        return self.explainer is not None and self.answerer.wording.scored

    def _explain(self, posed: Sequence[Posed]) -> list[Rationale | None]:
        if self.explainer is None:
            return [None] * len(posed)
        model, wording = self.explainer
        questions = [wording.question(self.task, one.example) for one in posed]
        written = self._clerk(model, posed).write(questions, self.decoding)
        return [Rationale(read_rationale(one.text), one.complete, shortened=one.shortened) for one in written]

    def _dictate(self, rows: Mapping[int, Posed], spoken: Collection[int]) -> Generator[Told, None, list[Rationale]]:
        """`_explain`, piece by piece."""
        assert self.explainer is not None
        model, wording = self.explainer
        questions = {row: wording.question(self.task, one.example) for row, one in rows.items()}
        return dictate(self._clerk(model, list(rows.values())), questions, self.decoding, spoken)

    def _scored(self, posed: Sequence[Posed], rationales: Sequence[Rationale | None]) -> list[Prediction]:
        model = self.answerer.model
        questions = self._questions(posed, rationales)
        scores = self._clerk(model, posed).score(questions, [answer_choices(one.asked) for one in posed])
        rows = zip(posed, rationales, scores, strict=True)
        return [_with_rationale(self._judged(one, scored), one, rationale) for one, rationale, scored in rows]

    def _judged(self, one: Posed, scored: Scored) -> Prediction:
        logprobs = scored.logprobs
        shares = softmax(logprobs, self.temperature)
        if shares is None:
            return Prediction(id=one.example.id, problem="not_finite")
        labels = one.asked.labels
        best = max(range(len(labels)), key=lambda place: logprobs[place])
        return Prediction(
            id=one.example.id,
            label=labels[best],
            probabilities=dict(zip(labels, shares, strict=True)),
            logprobs=dict(zip(labels, logprobs, strict=True)),
            shortened=scored.shortened,
        )

    def _generated(self, posed: Sequence[Posed], rationales: Sequence[Rationale | None]) -> list[Prediction]:
        """The answer written instead of scored, as published; it may name none."""
        model = self.answerer.model
        questions = self._questions(posed, rationales)
        replies = self._clerk(model, posed).write(questions, Decoding(max_tokens=ANSWER_ROOM))
        rows = zip(posed, rationales, replies, strict=True)
        return [_with_rationale(_read(one, reply.text, reply), one, rationale) for one, rationale, reply in rows]

    def _questions(self, posed: Sequence[Posed], rationales: Sequence[Rationale | None]) -> list[Question]:
        wording = self.answerer.wording
        pairs = zip(posed, rationales, strict=True)
        return [
            wording.question(self.task, one.example, rationale.text if rationale else "") for one, rationale in pairs
        ]

    def _written(self, posed: Sequence[Posed]) -> list[Prediction]:
        """Rationale and answer from one writing."""
        model, wording = self.answerer
        questions = [wording.question(self.task, one.example) for one in posed]
        found = []
        for one, reply in zip(posed, self._clerk(model, posed).write(questions, self.decoding), strict=True):
            said = read_reply(reply.text, wording.format)  # type: ignore[arg-type]
            rationale = None if said.rationale is None else Rationale(said.rationale, reply.complete)
            found.append(_with_rationale(_read(one, said.answer, reply), one, rationale))
        return found

    def _clerk(self, model: FusionModel, posed: Sequence[Posed]) -> Clerk:
        pictures = {key: picture for one in posed for key, picture in one.pictures.items()}
        eyes = self._eyes if model is self.answerer.model else self._eyes_first
        return Clerk(model, eyes.see(pictures), self.batch_size)


def _read(one: Posed, answer: str, reply: Written) -> Prediction:
    label = one.asked.read(answer)
    return Prediction(
        id=one.example.id,
        label=label,
        reply=reply.text,
        published_label=one.asked.read_published(reply.text),
        shortened=reply.shortened,
        problem="" if label is not None else "no_prediction" if answer else "empty",
    )


def _with_rationale(prediction: Prediction, one: Posed, rationale: Rationale | None) -> Prediction:
    """The prediction with its rationale, and whether both say the same."""
    if rationale is None:
        return prediction
    named = one.asked.concluded(rationale.text)
    both = prediction.label is not None and named is not None
    return dataclasses.replace(
        prediction,
        chain=rationale.text,
        fields={RATIONALE: rationale.text} if rationale.text else {},
        chain_label=named,
        chain_problem="" if named is not None else "no_prediction" if rationale.text else "empty",
        cut=not rationale.complete,
        shortened=prediction.shortened or rationale.shortened,
        agrees=prediction.label == named if both else None,
    )


def _without_label(found: Prediction) -> Prediction:
    return dataclasses.replace(found, label=None, reply=None, published_label=None, problem="", agrees=None)


def _without_chain(found: Prediction) -> Prediction:
    return dataclasses.replace(found, chain=None, fields={}, chain_label=None, chain_problem="", cut=False, agrees=None)
