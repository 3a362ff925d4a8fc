"""A small T5 with new weights and a tokenizer of science questions: what the shipped one is made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from mulcot.backbones.vlm.random_model import train_bpe
from mulcot.multimodal_cot.network import Fusion
from mulcot.world.science import make_question
from mulcot.world.science_chains import explain

QUESTIONS = 1500
VOCABULARY = 1024
EMBEDDING = 0.3
"""Standard deviation of a word's values at the beginning."""
LAST_NORM = 0.3
"""Keeps the first logits small in spite of the large embeddings, which are also the head."""
FORMAT = (
    "Question:\nContext: N/A\nOptions: (A) (B) (C) (D) (E)\nSolution: So it is\nAnswer: The answer is (A).\nPicture:"
)
WEIGHT = 200
"""How often the words of the format count: they come in every question."""
WHOLE = r" ?\([A-Z]\)| ?\d|"
"""A letter with its brackets and a digit with its space are one token each: one step instead of three, two to copy."""
PAD, END = "<pad>", "</s>"

TEXT_FIRST = -1.0
"""The gate's bias at the beginning: little of what is seen replaces what is read."""
BACK, NOTE, MATCH = 6.0, 0.6, 0.7
"""How strong each part of the copying heads begins."""
ONE_BACK = 1
"""T5's bucket of the distance to the token before, in encoder and decoder."""


def fresh_t5(
    width: int = 128, encoder: int = 3, decoder: int = 2, heads: int = 8
) -> tuple[T5ForConditionalGeneration, PreTrainedTokenizerBase]:
    """A T5 of about a million parameters, its weights from the current random state."""
    tokenizer = _tokenizer()
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=width // heads,
        d_ff=2 * width,
        num_layers=encoder,
        num_decoder_layers=decoder,
        num_heads=heads,
        dropout_rate=0.0,
        feed_forward_proj="relu",
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config.decoder_start_token_id = config.pad_token_id
    config.scale_decoder_outputs = False
    t5 = T5ForConditionalGeneration(config)
    _begin(t5)
    if min(encoder, decoder) > 1:
        _copy(t5)
    return t5, tokenizer


def _tokenizer() -> PreTrainedTokenizerBase:
    trained = train_bpe(science_texts(), VOCABULARY, whole=WHOLE, special=(PAD, END))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=trained, pad_token=PAD, eos_token=END
    )


def _begin(t5: Any) -> None:
    """Weights that learn to look words up within a few hundred steps; T5's own beginning needs several times as many.

    Matrices have variance 1 / inputs, queries less, since T5 does not divide scores by the width of a head. What
    layers add is small beside the embeddings, so that a word is still to be found in the last layer.
    """
    for name, weight in t5.named_parameters():
        if name == "shared.weight":
            nn.init.normal_(weight, std=EMBEDDING)
        elif weight.ndim == 2 and "relative" not in name:
            narrower = t5.config.d_kv**-0.5 if name.endswith(".q.weight") else 1.0
            nn.init.normal_(weight, std=narrower * weight.shape[1] ** -0.5)
    for stack in (t5.encoder, t5.decoder):
        for name, weight in stack.named_parameters():
            if name.endswith((".o.weight", ".wo.weight")):
                weight.data /= (2 * len(stack.block)) ** 0.5
    t5.decoder.final_layer_norm.weight.data.fill_(LAST_NORM)


@torch.no_grad()
def _copy(t5: Any) -> None:
    """Heads that copy, as in the tiny backbones: one notes which token stood before, one looks for that note.

    In the encoder both find where a word stood before; between decoder and encoder the second finds what comes next.
    The bias of a distance belongs to a head of all layers, so the two are heads 0 and 1.
    """
    width, size = t5.config.d_model, t5.config.d_kv
    token_HD, note_HD, found_HD = (_directions(size, width) for _ in range(3))
    first, second = slice(size), slice(size, 2 * size)
    encoder, decoder = t5.encoder.block, t5.decoder.block
    encoder[0].layer[0].SelfAttention.relative_attention_bias.weight[ONE_BACK, 0] = BACK
    back = encoder[0].layer[0].SelfAttention
    back.v.weight[first], back.o.weight[:, first] = token_HD, NOTE * note_HD.T
    for match, out_HD in (
        (encoder[1].layer[0].SelfAttention, found_HD),
        (decoder[0].layer[1].EncDecAttention, token_HD),
        (decoder[1].layer[1].EncDecAttention, token_HD),
    ):
        match.q.weight[second], match.k.weight[second] = MATCH * token_HD, MATCH * note_HD
        match.v.weight[second], match.o.weight[:, second] = token_HD, out_HD.T


def _directions(count: int, width: int) -> Tensor:
    """Random directions at right angles."""
    drawn: Tensor = torch.linalg.qr(torch.randn(width, count))[0]
    return drawn.T.contiguous()


def fresh_fusion(patch_width: int, width: int) -> Fusion:
    """A layer whose patches are as loud as the text; PyTorch's own beginning makes them a tenth of it."""
    fusion = Fusion(patch_width, width)
    attention = fusion.attention
    for weight in (fusion.project.weight, attention.in_proj_weight, attention.out_proj.weight):
        nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
    nn.init.constant_(fusion.gate.bias, TEXT_FIRST)
    return fusion


def science_texts() -> Iterator[str]:
    """Synthetic questions with hints, choices, lectures and solutions."""
    for number in range(QUESTIONS):
        truth = make_question(0, "train", number)
        question = truth.question
        options = " ".join(f"({letter}) {choice}" for letter, choice in zip("ABCDE", question.choices, strict=False))
        yield f"{question.text}\n{question.context or ''}\n{options}\n{explain(truth, number)}"
        if number < WEIGHT:
            yield FORMAT
