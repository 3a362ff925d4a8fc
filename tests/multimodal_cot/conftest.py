"""A fused T5 of a few thousand weights, and features for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from mulcot.backbones.vlm.random_model import train_tokenizer
from mulcot.features import FeatureKind, FeatureStore, FeatureWriter
from mulcot.multimodal_cot import T5Fusion
from mulcot.multimodal_cot.model import FusionModel, load_fusion

WIDTH = 6
TEXTS = ("Question: which flag is blue? Options: (A) left (B) right Context: Solution: Answer: The answer is (A).",)


def make_store(folder: Path, extractor_hash: str = "e" * 64) -> FeatureStore:
    """Pictures `one` of 4 patches, `two` of 7 and `three` of 4."""
    numbers = np.random.default_rng(0)
    with FeatureWriter(folder, FeatureKind({"name": "tiny"}, extractor_hash, WIDTH, "fp32")) as writer:
        writer.add([(key, numbers.normal(size=(n, WIDTH))) for key, n in (("one", 4), ("two", 7), ("three", 4))])
    return FeatureStore.open(folder)


def write_t5(folder: Path, *, tied: bool = True) -> Path:
    """A T5 in a folder, as the hub would have it."""
    tokenizer: PreTrainedTokenizerBase = train_tokenizer(TEXTS, 320)
    ids = tokenizer.get_added_vocab()
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=2,
        num_heads=2,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=tied,
        pad_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|im_end|>"],
    )
    config.decoder_start_token_id = config.pad_token_id
    torch.manual_seed(3)
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_t5(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return make_store(tmp_path_factory.mktemp("features") / "features")


@pytest.fixture(scope="session")
def settings(folder: Path) -> T5Fusion:
    return T5Fusion(model=str(folder), dtype="fp32", max_source=40, max_target=24)


@pytest.fixture(scope="session")
def model(settings: T5Fusion, store: FeatureStore) -> FusionModel:
    return load_fusion(settings, features=store)


@pytest.fixture(scope="session")
def store_maker() -> Callable[..., FeatureStore]:
    return make_store


@pytest.fixture(scope="session")
def t5_writer() -> Callable[..., Path]:
    return write_t5
