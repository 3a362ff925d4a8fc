"""Scores and texts equal those of plain full passes; a text depends on nothing but its own row."""

from __future__ import annotations

import pytest
import torch

from mulcot.features import FeatureStore
from mulcot.fusion import Question
from mulcot.fusion.model import FusionModel
from mulcot.inference.settings import Decoding

QUESTIONS = (
    Question("a", "Which flag is blue?", None, ("one",)),
    Question("b", "Why?"),
    Question("c", "Which of the two flags is blue, left or right?", None, ("two", "three")),
    Question("d", "Options: (A) left (B) right", None, ("three",)),
)
CHOICES = (("The answer is (A).", "B"), (), ("left", "right", "The answer is (B)."), ("A",))


def plain_logits(model: FusionModel, store: FeatureStore, question: Question, written: list[int]) -> torch.Tensor:
    """The next token's logits after a full pass without cache, by transformers' own forward."""
    batch = model.pack([model.encode(question)], store)
    ids = torch.tensor([[model.network.inner.config.decoder_start_token_id, *written]])
    with torch.no_grad():
        memory = model.network.encode(batch)
        out = model.network.inner(encoder_outputs=(memory,), attention_mask=batch.mask_BS, decoder_input_ids=ids)
    return out.logits[0]


def test_choices_score_as_in_full_passes_one_by_one(model: FusionModel, store: FeatureStore) -> None:
    scores = model.score(model.pack([model.encode(q) for q in QUESTIONS], store), CHOICES)
    assert [len(row) for row in scores] == [2, 0, 3, 1]
    for question, choices, found in zip(QUESTIONS, CHOICES, scores, strict=True):
        for choice, score in zip(choices, found, strict=True):
            ids = list(model.target(choice))
            logprobs = plain_logits(model, store, question, ids[:-1]).log_softmax(-1)
            assert score == pytest.approx(logprobs[range(len(ids)), ids].sum().item(), abs=1e-4)


def test_greedy_texts_equal_full_passes_token_by_token(model: FusionModel, store: FeatureStore) -> None:
    banned = [token for token in model.reader.controls if token != model.end]
    written = model.generate(model.pack([model.encode(q) for q in QUESTIONS], store), Decoding(max_tokens=5))
    for question, found in zip(QUESTIONS, written, strict=True):
        ids: list[int] = []
        for _ in range(5):
            logits = plain_logits(model, store, question, ids)[-1]
            logits[banned] = float("-inf")
            ids.append(int(logits.argmax()))
            if ids[-1] == model.end:
                break
        assert list(found.tokens) == [token for token in ids if token != model.end]
        assert found.complete == (ids[-1] == model.end)


def test_a_sample_depends_on_its_own_row_alone(model: FusionModel, store: FeatureStore) -> None:
    decoding = Decoding(temperature=1.5, top_p=0.95, max_tokens=10, seed=4)
    together = model.generate(model.pack([model.encode(q) for q in QUESTIONS], store), decoding)
    turned = model.generate(model.pack([model.encode(q) for q in reversed(QUESTIONS)], store), decoding)
    alone = [model.generate(model.pack([model.encode(q)], store), decoding)[0] for q in QUESTIONS]
    assert together == turned[::-1] == alone
    other = model.generate(
        model.pack([model.encode(q) for q in QUESTIONS], store), decoding.model_copy(update={"seed": 5})
    )
    assert other != together


def test_rows_that_end_early_leave_the_batch_and_the_others_go_on(
    model: FusionModel, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def often_the_end(logits_BV: torch.Tensor, uniform_B: torch.Tensor, decoding: Decoding) -> torch.Tensor:
        return torch.where(uniform_B < 0.15, model.end, logits_BV.argmax(-1))

    sizes: list[int] = []
    decode = model.network.decode
    monkeypatch.setattr("mulcot.fusion.writing.choose", often_the_end)
    monkeypatch.setattr(model.network, "decode", lambda ids, *rest: sizes.append(len(ids)) or decode(ids, *rest))
    decoding = Decoding(max_tokens=16, seed=1)
    written = model.generate(model.pack([model.encode(q) for q in QUESTIONS], store), decoding)
    lengths = sorted(len(text.tokens) for text in written)
    assert sizes[0] == 4 and sizes[-1] < 4 and sizes == sorted(sizes, reverse=True)
    assert any(text.complete for text in written) and lengths[0] < lengths[-1]
    for text, question in zip(written, QUESTIONS, strict=True):
        assert model.generate(model.pack([model.encode(question)], store), decoding) == [text]


def test_the_encoder_runs_once_per_row(
    model: FusionModel, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    encode = model.network.encode
    monkeypatch.setattr(model.network, "encode", lambda batch: calls.append(1) or encode(batch))
    batch = model.pack([model.encode(q) for q in QUESTIONS], store)
    model.generate(batch, Decoding(max_tokens=6))
    model.score(batch, CHOICES)
    assert calls == [1, 1]
