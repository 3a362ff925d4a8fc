from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mulcot.errors import DataError
from mulcot.metrics import similarity
from mulcot.metrics.similarity import MAX_PIECES, MiniLM, find_minilm

torch = pytest.importorskip("torch")
tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")
save_file = pytest.importorskip("safetensors.torch").save_file


VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "day"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same kind with seven words and random weights."""
    out = tmp_path_factory.mktemp("minilm")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=512,
    )
    (out / "config.json").write_text(config.to_json_string(), "utf-8")
    save_file(transformers.BertModel(config).state_dict(), out / "model.safetensors")
    ids = {word: number for number, word in enumerate(VOCABULARY)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding(length=128)
    tokenizer.save(str(out / "tokenizer.json"))
    return out


def test_a_text_is_most_like_itself_in_any_batch(folder: Path) -> None:
    model = MiniLM(folder)
    texts = ["good day", "bad", "", "good " * 40, "day day bad"]
    alone = model.cosines([(text, "good day") for text in texts])
    assert alone[0] == pytest.approx(1, abs=1e-6)
    assert max(alone[1:]) < 0.9999
    for text, cosine in zip(texts, alone, strict=True):
        assert MiniLM(folder).cosines([(text, "good day")])[0] == pytest.approx(cosine, abs=1e-6)


def test_a_text_is_read_once_and_cut_after_256_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = MiniLM(folder), []
    forward = model._forward
    monkeypatch.setattr(model, "_forward", lambda rows: sizes.extend(map(len, rows)) or forward(rows))
    long, fits = "good " * 300, "day " * (MAX_PIECES - 2)
    first = model.cosines([(long, fits), (fits, long), (long, "good " * 254)])
    assert sorted(sizes) == [256, 256, 256]
    assert first[2] == pytest.approx(1, abs=1e-6)
    assert model.truncated([long, fits, long]) == 2
    model.cosines([(long, fits)])
    assert len(sizes) == 3


def test_a_folder_that_is_no_such_model_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config\.json, model\.safetensors, tokenizer\.json missing"):
        MiniLM(tmp_path)
    for name in similarity.FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    save_file({"embeddings.word_embeddings.weight": torch.zeros(7, 8)}, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match=r"lacks \d+ tensors"):
        MiniLM(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(DataError, match="no similarity model"):
        MiniLM(tmp_path)


def test_what_is_missing_is_said_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "PACKAGE", "no_such_package")
    assert "mulcot[similarity]" in str(find_minilm())


@pytest.mark.slow
def test_the_real_model_gives_what_sentence_transformers_gives(real_chains: list[str]) -> None:
    found = find_minilm()
    if isinstance(found, str) or "sentence_transformers" not in sys.modules:
        pytest.importorskip("sentence_transformers")
    assert isinstance(found, Path)
    from sentence_transformers import SentenceTransformer

    texts = [*real_chains[:6], "", " short "]
    vectors = SentenceTransformer(str(found), device="cpu").encode(texts, show_progress_bar=False)
    expected = [float(one @ vectors[0]) for one in vectors]
    assert MiniLM(found).cosines([(text, texts[0]) for text in texts]) == pytest.approx(expected, abs=1e-6)
