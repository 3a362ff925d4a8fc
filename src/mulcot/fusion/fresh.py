"""A small T5 with new weights and a tokenizer of science questions: the embedded default, trained from scratch."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from transformers import PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from mulcot.backbones.runtime.fresh import train_tokenizer
from mulcot.world.science import make_question
from mulcot.world.science_chains import explain

QUESTIONS = 1500
VOCABULARY = 1024
EMBEDDING = 0.3
"""Standard deviation of a word's values at the beginning."""
FORMAT = "Question: Context: N/A Options: (A) (B) (C) (D) (E) Solution: Answer: The answer is (A)."
WEIGHT = 200
"""How often the words of the format count: they come in every question."""


def fresh_t5(
    width: int = 128, layers: int = 2, heads: int = 4
) -> tuple[T5ForConditionalGeneration, PreTrainedTokenizerBase]:
    """A T5 of about a million parameters, its weights from the current random state."""
    tokenizer = train_tokenizer(science_texts(), VOCABULARY)
    ids = dict(tokenizer.get_added_vocab())
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=width // heads,
        d_ff=2 * width,
        num_layers=layers,
        num_decoder_layers=layers,
        num_heads=heads,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        pad_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|im_end|>"],
    )
    config.decoder_start_token_id = config.pad_token_id
    config.scale_decoder_outputs = False
    t5 = T5ForConditionalGeneration(config)
    _begin(t5)
    return t5, tokenizer


def _begin(t5: T5ForConditionalGeneration) -> None:
    """Weights that learn to look words up within a few hundred steps; T5's own beginning needs several times as many.

    Matrices have variance 1 / inputs, queries less, since T5 does not divide scores by the width of a head.
    """
    for name, weight in t5.named_parameters():
        if name == "shared.weight":
            nn.init.normal_(weight, std=EMBEDDING)
        elif weight.ndim == 2 and "relative" not in name:
            narrower = t5.config.d_kv**-0.5 if name.endswith(".q.weight") else 1.0
            nn.init.normal_(weight, std=narrower * weight.shape[1] ** -0.5)


def science_texts() -> Iterator[str]:
    """Synthetic questions with hints, choices, lectures and solutions."""
    for number in range(QUESTIONS):
        truth = make_question(0, "train", number)
        question = truth.question
        options = " ".join(f"({letter}) {choice}" for letter, choice in zip("ABCDE", question.choices, strict=False))
        yield f"{question.text}\n{question.context or ''}\n{options}\n{explain(truth, number)}"
        if number < WEIGHT:
            yield FORMAT
