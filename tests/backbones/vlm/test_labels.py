from __future__ import annotations

import dataclasses

import pytest
import torch

from mulcot.backbones.vlm.label_scoring import score_labels as scores
from mulcot.backbones.vlm.prefill import prefill


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"])
def test_scores_equal_whole_passes_over_each_label(models, examples, plain_logits, family: str) -> None:
    model = models(family)
    batch = examples(model)
    found = scores(model, batch)
    torch.testing.assert_close(prefill(model, batch, 1).scores_EQ, found, rtol=0, atol=1e-4)
    for row, encoded in enumerate(batch):
        for number, choice in enumerate(encoded.label.choices):
            logprobs = plain_logits(model, encoded, [*encoded.label.prompt, *choice]).log_softmax(-1)
            expected = sum(logprobs[place - len(choice) - 1, token] for place, token in enumerate(choice))
            torch.testing.assert_close(found[row, number], expected, rtol=0, atol=1e-4)


def test_labels_that_begin_alike_are_told_apart(models, examples) -> None:
    model = models()
    batch = examples(model, labels=("neutral", "negative", "neutrally"))
    first = {choice[0] for choice in batch[0].label.choices}
    assert len(first) == 1, "the case to be tested: all begin with the same token"
    assert len({round(score, 3) for score in scores(model, batch)[0].tolist()}) == 3


def test_the_end_token_counts(models, examples) -> None:
    """Without it, a label that begins another could never lose to it."""
    model = models()
    batch = examples(model, labels=("neutral", "neutral neutral"))
    ids = batch[0].label.choices
    assert ids[0][:-1] == ids[1][: len(ids[0]) - 1]
    assert ids[0][-1] == ids[1][-1] == model.stops[0]
    cut = [
        dataclasses.replace(b, label=dataclasses.replace(b.label, choices=tuple(c[:-1] for c in b.label.choices)))
        for b in batch
    ]
    assert not torch.allclose(scores(model, batch), scores(model, cut), atol=1e-3)


def test_scores_do_not_depend_on_the_batch(models, examples) -> None:
    model = models()
    batch = examples(model, sizes=(1, 9, 4, 17))
    together = scores(model, batch)
    for row, encoded in enumerate(batch):
        torch.testing.assert_close(scores(model, [encoded])[0], together[row], rtol=0, atol=1e-4)


def test_an_example_without_a_label_set_is_refused(models, examples) -> None:
    model = models()
    batch = [dataclasses.replace(encoded, label=None) for encoded in examples(model)]
    with pytest.raises(ValueError, match="label branch"):
        scores(model, batch)
