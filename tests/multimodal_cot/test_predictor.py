"""Rationales are told while they are written, and are the same as when they are not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.errors import DataError, MulcotError
from mulcot.features.store import FeatureKind
from mulcot.multimodal_cot import T5Fusion
from mulcot.multimodal_cot.feature_lookup import FeatureLookup, InMemoryFeatures
from mulcot.multimodal_cot.loading import Vision
from mulcot.multimodal_cot.model import FusionModel, load_fusion
from mulcot.multimodal_cot.model_format import ModelFormat
from mulcot.multimodal_cot.predictor import ModelWithFormat, TwoStagePredictor
from mulcot.multimodal_cot.question_builder import BuiltQuestion, QuestionBuilder
from mulcot.multimodal_cot.streaming import rationale_detokenizer
from mulcot.predict.posts import Post, Prepared
from mulcot.predict.streaming import StreamEvent
from mulcot.records import Example, ImageRef, Prediction, Rejected
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.saved_task import SavedTask

from .conftest import write_t5

POSTS = [
    Post(text="Which one is a mammal?", choices=("a trout", "a whale")),
    Post(text="None?"),
    Post(text="Which flag is blue?", choices=("left", "right", "both"), context="There are two flags."),
]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> TwoStagePredictor:
    torch.set_num_threads(1)
    model = load_fusion(T5Fusion(model=str(write_t5(tmp_path_factory.mktemp("t5")))))
    explainer = ModelWithFormat(model, ModelFormat(format="QCM-LE"))
    answerer = ModelWithFormat(model, ModelFormat(format="QCMG-A"))
    return TwoStagePredictor(answerer, explainer, SavedTask(MultipleChoice()), decoding=Decoding(max_tokens=12))


def chain(told: Sequence[StreamEvent], row: int) -> str:
    return "".join(one.news for one in told if one.row == row and isinstance(one.news, str))


def test_everything_told_adds_up_to_what_is_predicted(predictor: TwoStagePredictor) -> None:
    expected = predictor.predict(POSTS)
    told = list(predictor.stream_batch(POSTS, streamed=[0, 2]))
    whole = {one.row: one.news for one in told if one.last}
    assert isinstance(whole[1], Rejected)
    for row in (0, 2):
        one, other = whole[row], expected[row]
        assert isinstance(one, Prediction)
        assert isinstance(other, Prediction)
        assert (one.chain, one.label, one.cut) == (other.chain, other.label, other.cut)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
        assert chain(told, row) == one.chain == "".join(predictor.stream(POSTS[row]))
    assert all(one.written > 0 for one in told if one.last and one.row != 1)


def test_a_rationale_comes_in_pieces_and_only_to_those_who_listen(predictor: TwoStagePredictor) -> None:
    told = list(predictor.stream_batch(POSTS, streamed=[2]))
    assert sum(bool(one.news) for one in told if one.row == 2 and isinstance(one.news, str)) > 1
    assert chain(told, 0) == ""
    assert sum(one.row == 0 for one in told) > 2, "others have their turn between two tokens"


def test_with_the_label_alone_no_rationale_is_told(predictor: TwoStagePredictor) -> None:
    told = list(predictor.stream_batch(POSTS, label_only=True, streamed=[0, 2]))
    assert chain(told, 0) == ""
    assert all(one.news.chain is None for one in told if isinstance(one.news, Prediction))


def test_what_is_prepared_in_another_thread_is_answered_like_any_other(predictor: TwoStagePredictor) -> None:
    ready = [predictor.prepare(post) for post in POSTS]
    assert isinstance(ready[1], Rejected)
    usable = [one for one in ready if isinstance(one, BuiltQuestion)]
    assert [one.nbytes for one in usable] == [
        sum(p.width * p.height * 3 for p in one.pictures.values()) for one in usable
    ]
    told = [list(predictor.stream_batch(items, label_only=True)) for items in (usable, [POSTS[0], POSTS[2]])]
    assert told[0] == told[1]
    with pytest.raises(TypeError, match="another kind of predictor"):
        list(predictor.stream_batch([Prepared()]))


def test_two_batches_can_take_turns(predictor: TwoStagePredictor) -> None:
    """Arithmetic modes must not leak from one to the other between two tokens."""
    expected = predictor.predict([POSTS[0]])
    first, second = predictor.stream_batch([POSTS[0]], streamed=[0]), predictor.stream_batch([POSTS[2]], streamed=[0])
    next(first)
    next(second)
    assert not torch.is_inference_mode_enabled()
    assert not torch.is_autocast_enabled("cpu")
    *_, last = first
    assert last.news == expected[0]


def test_the_heading_of_a_rationale_is_never_told() -> None:
    words = ["Sol", "ution", ":", " A", " whale", " breathes."]
    model: Any = SimpleNamespace(text=lambda ids: "".join(words[i] for i in ids))
    one = rationale_detokenizer(model)
    assert [one.add(i) for i in range(6)] == ["", "", "", "A", " whale", " breathes."]
    assert one.text() == "A whale breathes."


def test_imported_features_know_some_picture_of_a_question_or_it_is_rejected() -> None:
    lookup = FeatureLookup(imported("theirs"), stored("theirs", "first"))
    builder = QuestionBuilder(SavedTask(MultipleChoice()), ModelFormat(format="QCM-E"), lookup)
    built = builder.build(pictured("first", "second"), None, 0)
    assert isinstance(built, BuiltQuestion)
    assert [image.sha256 for image in built.example.images] == ["first"]
    assert isinstance(refused := builder.build(Post(text="Q", choices=("a", "b"), image=b"new"), None, 0), Rejected)
    assert refused.reason == "missing_features"
    missed = builder.build(pictured("third"), None, 0)
    assert isinstance(missed, Rejected)
    assert missed.reason == "missing_features"
    assert isinstance(builder.build(pictured(), None, 0), BuiltQuestion)


def test_features_of_another_extractor_are_refused_by_a_model_that_answers() -> None:
    with pytest.raises(DataError, match="extractor"):
        FeatureLookup(imported("theirs"), stored("others", "first"))


def test_what_is_longer_than_the_model_reads_is_told(tmp_path: Path) -> None:
    model = load_fusion(T5Fusion(model=str(write_t5(tmp_path)), max_source=60))
    saved, decoding = SavedTask(MultipleChoice()), Decoding(max_tokens=4)
    pair = TwoStagePredictor(
        ModelWithFormat(model, ModelFormat(format="QCMG-A")),
        ModelWithFormat(model, ModelFormat(format="QCM-E")),
        saved,
        decoding=decoding,
    )
    alone = TwoStagePredictor(ModelWithFormat(model, ModelFormat(format="QCM-RA")), None, saved, decoding=decoding)
    posts = [Post(text="Which?", choices=("a", "b"), context=context) for context in ("", "a long hint " * 40)]
    for predictor in (pair, alone):
        for options in ({}, {"label_only": True}, {"generate": True}):
            found = predictor.predict(posts, **options)
            assert [isinstance(one, Prediction) and one.shortened for one in found] == [False, True]
    told = {one.row: one.news for one in pair.stream_batch(posts) if one.last}
    assert [isinstance(told[row], Prediction) and told[row].shortened for row in (0, 1)] == [False, True]  # type: ignore[union-attr]


def test_the_chain_alone_has_no_label_and_needs_a_model_that_writes_one(tmp_path: Path) -> None:
    model = load_fusion(T5Fusion(model=str(write_t5(tmp_path))))

    def alone(form: Any) -> TwoStagePredictor:
        speaker = ModelWithFormat(model, ModelFormat(format=form))
        return TwoStagePredictor(speaker, None, SavedTask(MultipleChoice()), decoding=Decoding(max_tokens=8))

    assert [alone(form).chain_first for form in ("QCM-A", "QCM-AR", "QCM-RA")] == [False, False, True]
    (found,) = alone("QCM-AR").predict(POSTS[:1], chain_only=True)
    assert isinstance(found, Prediction)
    assert (found.label, found.reply) == (None, None)
    with pytest.raises(MulcotError, match="writes no rationale"):
        alone("QCM-A").predict(POSTS[:1], chain_only=True)


def test_captions_are_read_by_models_that_learned_with_them(predictor: TwoStagePredictor, tmp_path: Path) -> None:
    captioned = Post(text="Which?", choices=("a", "b"), caption="two flags")
    (refused,) = predictor.predict([captioned])
    assert isinstance(refused, Rejected)
    assert refused.reason == "not_read"
    model = load_fusion(T5Fusion(model=str(write_t5(tmp_path))))
    reader = TwoStagePredictor(
        ModelWithFormat(model, ModelFormat(format="QCM-A", captions=True)), None, SavedTask(MultipleChoice())
    )
    assert isinstance(reader.predict([captioned])[0], Prediction)
    assert isinstance(predictor.predict([captioned.only(predictor.reads)])[0], Prediction)


def test_two_models_look_at_a_new_picture_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def extract(prepared: Sequence[Any]) -> list[Any]:
        seen.append(len(prepared))
        return [np.full((5, 7), 0.5, np.float32) for _ in prepared]

    extractor: Any = SimpleNamespace(prepare=lambda picture: picture, extract=extract)
    loads: list[str] = []
    monkeypatch.setattr("mulcot.multimodal_cot.feature_lookup.load_extractor", lambda *_: loads.append("") or extractor)
    settings, features = (
        T5Fusion(model=str(write_t5(tmp_path))),
        InMemoryFeatures(FeatureKind({"name": "any"}, "theirs", 7, "fp32"), None),
    )
    models = [
        ModelWithFormat(load_fusion(settings, features=features), ModelFormat(format=name))
        for name in ("QCM-E", "QCMG-A")
    ]
    decoding = Decoding(max_tokens=4)
    both = TwoStagePredictor(models[1], models[0], SavedTask(MultipleChoice()), decoding=decoding)
    pictures = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    posts = [Post(text="Which?", choices=("a", "b"), image=picture) for picture in pictures]
    assert all(isinstance(one, Prediction) for one in both.predict(posts))
    assert (loads, seen) == ([""], [2])
    both.predict(posts[:1])
    both.predict([Post(text="Which?", choices=("a", "b"), image=Image.new("RGB", (8, 8), "green"))])
    assert (loads, seen) == ([""], [2, 1])
    both.predict([Post(text="Which?", choices=("a", "b"), image=[*pictures, pictures[0]])])
    assert (loads, seen) == ([""], [2, 1, 2])


def imported(extractor_hash: str) -> Any:
    model: Any = SimpleNamespace(vision=Vision(7, extractor_hash, {}), device="cpu")
    model.check_features = partial(FusionModel.check_features, model)
    return model


def stored(extractor_hash: str, *names: str) -> InMemoryFeatures:
    store = InMemoryFeatures(FeatureKind({}, extractor_hash, 7, "fp32"), None)
    store.own = {name: np.zeros((5, 7), np.float32) for name in names}
    return store


def pictured(*names: str) -> Example:
    images = tuple(ImageRef(path=name, sha256=name) for name in names)
    return Example(id="q", split="test", text="Which?", choices=("a", "b"), label="A", images=images)


def test_a_network_that_answers_is_not_in_training(predictor: TwoStagePredictor) -> None:
    model: FusionModel = predictor.answerer.model
    assert not model.network.training
