from __future__ import annotations

import subprocess
import sys

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.sampling import choose, uniform

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -30.0])


def draw(decoding: Decoding, numbers: torch.Tensor) -> torch.Tensor:
    return choose(LOGITS.expand(len(numbers), -1), numbers, decoding)


def test_the_settings_are_readable_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = None\n"
    code += "from mulcot.backbones.vlm.decoding_settings import Decoding\nprint(Decoding())"
    assert "max_tokens=512" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout


def test_temperature_zero_takes_the_likeliest() -> None:
    assert draw(Decoding(), torch.rand(5)).tolist() == [0] * 5


def test_tokens_come_as_often_as_their_probability_says() -> None:
    for temperature in (0.7, 1.5):
        numbers = (torch.arange(20_000) + 0.5) / 20_000
        found = torch.bincount(draw(Decoding(temperature=temperature), numbers), minlength=5) / 20_000
        torch.testing.assert_close(found, (LOGITS / temperature).softmax(-1), rtol=0, atol=2e-4)


def test_the_nucleus_keeps_the_fewest_tokens_that_reach_top_p() -> None:
    numbers = torch.linspace(0, 0.9999, 500)
    for top_p in (0.1, 0.6, 0.9, 0.99):
        kept = int((LOGITS.softmax(-1).cumsum(-1) < top_p).sum()) + 1
        assert set(draw(Decoding(temperature=1, top_p=top_p), numbers).tolist()) == set(range(kept))


@given(st.floats(0, 1, exclude_max=True), st.floats(0.05, 5), st.floats(0.01, 1))
@settings(deadline=None)
def test_no_impossible_token_is_ever_drawn(number: float, temperature: float, top_p: float) -> None:
    logits = torch.tensor([[float("-inf"), 0.0, 1.0, float("-inf")]])
    token = choose(logits, torch.tensor([number], dtype=torch.float64), Decoding(temperature=temperature, top_p=top_p))
    assert token.item() in (1, 2)


def test_random_numbers_belong_to_key_and_seed() -> None:
    decoding = Decoding(max_tokens=6)
    numbers = uniform("a", decoding)
    assert torch.equal(numbers, uniform("a", decoding))
    assert not torch.equal(numbers, uniform("b", decoding))
    assert not torch.equal(numbers, uniform("a", Decoding(max_tokens=6, seed=1)))
    longer = uniform("a", Decoding(max_tokens=9))
    assert torch.equal(longer[:6], numbers), "a longer budget continues the same numbers"
    assert ((numbers >= 0) & (numbers < 1)).all()
