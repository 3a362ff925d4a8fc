from __future__ import annotations

import dataclasses

import pytest
import torch

from mulcot.backbones.vlm.answer import answer, answers
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.generation import Chain, stream
from mulcot.backbones.vlm.label_scoring import score_labels
from mulcot.backbones.vlm.prefill import Prefilled, prefill

TOKENS = 24


def ready(model, examples, tokens: int = 200) -> Prefilled:
    return prefill(model, examples, tokens)


def write(prefilled: Prefilled, decoding: Decoding, keys=None) -> list[Chain]:
    found = {token.row: token.chain for token in stream(prefilled, decoding, keys) if token.chain is not None}
    return [found[row] for row in range(len(prefilled.ids))]


def plain_greedy(model, encoded, plain_logits) -> tuple[list[int], bool]:
    ids: list[int] = []
    for _ in range(TOKENS):
        logits = plain_logits(model, encoded, [*encoded.chain.prompt, *ids])[-1]
        logits[[control for control in model.words.controls if control not in model.stops]] = -torch.inf
        token = int(logits.argmax())
        if token in model.stops:
            return ids, True
        ids.append(token)
    return ids, False


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"])
def test_greedy_chains_equal_whole_passes_token_by_token(models, examples, plain_logits, family: str) -> None:
    model = models(family)
    batch = examples(model)
    chains = write(ready(model, batch), Decoding(max_tokens=TOKENS))
    for encoded, chain in zip(batch, chains, strict=True):
        assert (list(chain.ids), chain.complete) == plain_greedy(model, encoded, plain_logits)
        assert chain.text == model.text(chain.ids)


def test_no_chain_opens_a_turn_or_places_a_picture(models, examples, monkeypatch) -> None:
    model = models()
    picture = model.words.control("<|image_pad|>")
    batch = examples(model)
    hidden = torch.zeros(len(model.network.head_VD))
    hidden[picture] = 1.0
    monkeypatch.setattr("mulcot.backbones.vlm.generation.linear", lambda states, head: hidden.expand(len(states), -1))
    for decoding in (Decoding(max_tokens=5), Decoding(max_tokens=5, temperature=0.1)):
        for chain in write(ready(model, batch), decoding):
            assert picture not in chain.ids


@pytest.fixture
def talkative(models, examples, monkeypatch):
    """A model whose chains end at different steps: some ordinary tokens count as stops."""
    model, decoding = models(), Decoding(max_tokens=TOKENS)
    batch = examples(model, sizes=(1, 9, 4, 2, 7, 3))
    long = write(ready(model, batch), decoding)
    stops = tuple({long[number].ids[2 + 3 * number] for number in range(5)})
    monkeypatch.setattr(type(model), "stops", property(lambda self: stops))
    return model, batch, long, stops


def test_chains_end_at_their_stop_whatever_the_others_do(talkative) -> None:
    model, batch, long, stops = talkative
    chains = write(ready(model, batch), Decoding(max_tokens=TOKENS))
    lengths = set()
    for chain, whole in zip(chains, long, strict=True):
        end = next((place for place, token in enumerate(whole.ids) if token in stops), None)
        assert chain.ids == whole.ids[:end]
        assert chain.complete == (end is not None)
        lengths.add(len(chain.ids))
    assert len(lengths) > 2, "the case to be tested: rows leave the batch one after the other"


def test_samples_stay_the_same_when_others_leave_the_batch(models, examples, monkeypatch) -> None:
    model, decoding = models(), Decoding(temperature=1.0, max_tokens=TOKENS)
    batch = examples(model, sizes=(1, 9, 4, 2, 7, 3))
    common = {token for chain in write(ready(model, batch), decoding) for token in chain.ids[5:8]}
    monkeypatch.setattr(type(model), "stops", property(lambda self: tuple(common)))
    together = write(ready(model, batch), decoding)
    assert len({len(chain.ids) for chain in together}) > 2, "the case to be tested: rows leave one after the other"
    assert [write(ready(model, [encoded]), decoding)[0] for encoded in batch] == together


def test_the_stream_is_the_chain_as_it_grows(talkative) -> None:
    model, batch, _, _ = talkative
    decoding = Decoding(max_tokens=TOKENS)
    tokens = list(stream(ready(model, batch), decoding))
    for row, chain in enumerate(write(ready(model, batch), decoding)):
        own = [token for token in tokens if token.row == row]
        assert tuple(token.id for token in own if not token.end) == chain.ids
        assert [token.end for token in own].count(True) == chain.complete


def test_leaving_a_stream_leaves_the_model_as_it_was(models, examples) -> None:
    model = models()
    model.network.train()
    tokens = stream(ready(model, examples(model)), Decoding(max_tokens=TOKENS))
    next(tokens)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    tokens.close()
    assert model.network.training
    model.network.eval()


def test_one_prefill_serves_again_and_again(models, examples) -> None:
    model, decoding = models(), Decoding(max_tokens=8)
    prefilled = ready(model, examples(model))
    chains = write(prefilled, decoding)
    assert write(prefilled, decoding) == chains
    assert write(ready(model, examples(model)), decoding) == chains


def test_a_sampled_chain_depends_on_its_key_and_seed_alone(models, examples) -> None:
    model, decoding = models(), Decoding(temperature=0.7, top_p=0.9, max_tokens=12, seed=5)
    batch = examples(model, sizes=(1, 9, 4, 17))
    together = write(ready(model, batch), decoding)
    assert write(ready(model, batch[::-1]), decoding) == together[::-1]
    assert write(ready(model, batch[2:3]), decoding) == together[2:3]
    other = decoding.model_copy(update={"seed": 6})
    assert all(a != b for a, b in zip(write(ready(model, batch), other), together, strict=True))


def test_an_example_can_have_several_chains(models, examples) -> None:
    model, decoding = models(), Decoding(temperature=1.0, max_tokens=10)
    batch = examples(model)
    slots = [0, 0, 1, 1, 2, 2]
    keys = [f"{batch[slot].id}#{number}" for slot, number in zip(slots, [0, 1] * 3, strict=True)]
    chains = write(ready(model, batch).select(slots), decoding, keys)
    assert chains[0] != chains[1]
    assert write(ready(model, batch[1:2]), decoding, keys[2:3]) == chains[2:3]


def test_answers_hold_labels_and_chain_of_one_prefill(models, examples) -> None:
    model, decoding = models(), Decoding(max_tokens=6)
    batch = examples(model)
    found = answer(model, batch, decoding)
    prefilled = ready(model, batch)
    assert [one.chain for one in found] == write(prefilled, decoding)
    logprobs = torch.tensor([one.label_logprobs for one in found])
    torch.testing.assert_close(logprobs, prefilled.scores_EQ)
    torch.testing.assert_close(logprobs, score_labels(model, batch), rtol=0, atol=1e-5)
    only_labels = answer(model, [dataclasses.replace(encoded, chain=None) for encoded in batch], decoding)
    assert {found.chain for found in only_labels} == {None}
    with pytest.raises(ValueError, match="same branches"):
        answer(model, [batch[0], dataclasses.replace(batch[1], chain=None)], decoding)


def test_the_room_is_exactly_enough(models, examples) -> None:
    model, decoding = models(), Decoding(max_tokens=30)
    batch = [dataclasses.replace(encoded, label=None) for encoded in examples(model)]
    assert write(ready(model, batch, 30), decoding) == write(ready(model, batch), decoding)
    if model.layout == "two_rows":
        return  # what is read grows as it is read
    with pytest.raises((IndexError, RuntimeError)):
        write(ready(model, batch, 20), decoding)


SIZES = (1, 9, 4, 2, 7, 3, 12, 5)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_slots_of_ended_chains_are_taken_by_those_who_wait(models, examples, monkeypatch, temperature: float) -> None:
    model, decoding = models(), Decoding(max_tokens=TOKENS, temperature=temperature)
    batch = examples(model, sizes=SIZES)
    whole = answer(model, batch, decoding)
    stops = tuple({one.chain.ids[1 + 3 * number] for number, one in enumerate(whole[:6])})
    monkeypatch.setattr(type(model), "stops", property(lambda self: stops))
    alone = [answer(model, [encoded], decoding)[0] for encoded in batch]
    assert len({len(one.chain.ids) for one in alone}) > 3, "the case to be tested: chains of mixed length"
    for slots in (1, 2, 3, 5):
        for one, expected in zip(answers(model, iter(batch), decoding, slots), alone, strict=True):
            assert one.chain == expected.chain, slots
            assert one.label_logprobs == pytest.approx(expected.label_logprobs, abs=1e-4)


def test_never_more_examples_are_held_than_there_are_slots(models, examples, monkeypatch) -> None:
    model, decoding = models(), Decoding(max_tokens=3)
    batch = examples(model, sizes=SIZES)
    monkeypatch.setattr(type(model), "stops", property(lambda self: (-1,)))
    taken = iter(batch)
    waiting = answers(model, taken, decoding, 3)
    next(waiting)
    assert len(list(taken)) == len(batch) - 3
    widths = []
    read = Prefilled.read_token
    monkeypatch.setattr(Prefilled, "read_token", lambda self, *args: widths.append(len(self.ids)) or read(self, *args))
    assert len(list(answers(model, batch, decoding, 3))) == len(batch)
    assert max(widths) == 3


def test_an_example_without_a_chain_prompt_is_refused(models, examples) -> None:
    model = models()
    batch = [dataclasses.replace(encoded, chain=None) for encoded in examples(model)]
    with pytest.raises(ValueError, match="chain branch"):
        write(ready(model, batch), Decoding())
