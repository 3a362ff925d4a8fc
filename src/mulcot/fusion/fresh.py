"""A small T5 with new weights and a tokenizer of science questions: the embedded default, trained from scratch."""

from __future__ import annotations

from collections.abc import Iterator

from transformers import PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from mulcot.backbones.runtime.fresh import train_tokenizer
from mulcot.world.science import make_question
from mulcot.world.science_chains import explain

QUESTIONS = 1500
VOCABULARY = 1024
FORMAT = "Question: Context: N/A Options: (A) (B) (C) (D) (E) Solution: Answer: The answer is (A)."
WEIGHT = 200
"""How often the words of the format count: they come in every question."""


def fresh_t5(
    width: int = 160, layers: int = 3, heads: int = 5
) -> tuple[T5ForConditionalGeneration, PreTrainedTokenizerBase]:
    """A T5 of about 2 million parameters, its weights from the current random state."""
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
    return T5ForConditionalGeneration(config), tokenizer


def science_texts() -> Iterator[str]:
    """Synthetic questions with hints, choices, lectures and solutions."""
    for number in range(QUESTIONS):
        truth = make_question(0, "train", number)
        question = truth.question
        options = " ".join(f"({letter}) {choice}" for letter, choice in zip("ABCDE", question.choices, strict=False))
        yield f"{question.text}\n{question.context or ''}\n{options}\n{explain(truth, number)}"
        if number < WEIGHT:
            yield FORMAT
