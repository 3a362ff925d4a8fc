"""Scores and texts equal those of plain full passes; a text depends on nothing but its own row."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.features import FeatureStore
from mulcot.multimodal_cot import T5Fusion, T5Question
from mulcot.multimodal_cot.model import FusionModel, load_fusion

QUESTIONS = (
    T5Question("a", "Which flag is blue?", None, ("one",)),
    T5Question("b", "Why?"),
    T5Question("c", "Which of the two flags is blue, left or right?", None, ("two", "three")),
    T5Question("d", "Options: (A) left (B) right", None, ("three",)),
)
CHOICES = (("The answer is (A).", "B"), (), ("left", "right", "The answer is (B)."), ("A",))


def plain_logits(model: FusionModel, store: FeatureStore, question: T5Question, written: list[int]) -> torch.Tensor:
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
    monkeypatch.setattr("mulcot.multimodal_cot.generate_and_score.choose", often_the_end)
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


def sentencepiece_t5(folder: Path) -> Path:
    """A T5 with a vocabulary like T5's own: pieces of words, and one token for every character that is missing."""
    words = ["Solution", "the", "set", "2", "has", "a", "b", "and", "more"]
    pieces = ["<pad>", "</s>", "<unk>", *"\u2581:.,1", *(f"\u2581{word}" for word in words)]
    vocabulary = [(piece, -1.0 - place / 100) for place, piece in enumerate(pieces)]
    tokenizer = T5Tokenizer(vocab=vocabulary, extra_ids=3)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0
    )
    config.decoder_start_token_id = config.pad_token_id
    torch.manual_seed(0)
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_target_with_unknown_characters_can_be_written_and_is_read_without_them(tmp_path: Path) -> None:
    settings = T5Fusion(model=str(sentencepiece_t5(tmp_path)), dtype="fp32")
    model = load_fusion(settings, trainable=True)
    rows = [model.encode(T5Question("a", "the set", "Solution: the set {1, 2} has a < b \U0001f642 and more."))]
    target, unknown = rows[0].target_ids, model.tokenizer.unk_token_id
    assert target and target.count(unknown) == 4
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=0.005)
    for _ in range(200):
        optimizer.zero_grad()
        loss, _ = model.loss(model.pack(rows, None))
        loss.backward()
        optimizer.step()
    (written,) = model.generate(model.pack(rows, None), Decoding(max_tokens=60))
    assert written.complete and (*written.tokens, model.end) == target
    assert " ".join(written.text.split()) == "Solution: the set 1, 2 has a b and more."
    (scores,) = model.score(model.pack(rows, None), [["the set {1", "the set <1"]])
    assert scores[0] == scores[1], "what cannot be told apart scores alike"


def test_control_tokens_that_no_target_has_stay_out_of_reach(tmp_path: Path, settings: T5Fusion) -> None:
    model = load_fusion(T5Fusion(model=str(sentencepiece_t5(tmp_path)), dtype="fp32"))
    free = set(model.reader.controls) - set(model._vocabulary().banned)
    assert free == {model.end, model.tokenizer.unk_token_id}
    qwen = load_fusion(settings)
    assert qwen.tokenizer.unk_token_id == qwen.pad, "this byte-level tokenizer calls its padding so"
    assert qwen.pad in qwen._vocabulary().banned
