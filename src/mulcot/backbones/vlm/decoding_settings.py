"""How chains are written; importable without torch."""

from __future__ import annotations

from pydantic import Field

from mulcot.settings import Settings


class Decoding(Settings):
    """Greedy by default. The published augmentation samples with temperature 0.7."""

    temperature: float = Field(default=0.0, ge=0)
    """0 always takes the likeliest token; above 0 tokens are sampled."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Samples only from the likeliest tokens that together have this probability."""
    max_tokens: int = Field(default=512, ge=1)
    """A chain that has not ended by then is cut off."""
    seed: int = 0
    """Another seed, other samples. A chain depends on the seed, its example and its number, not on its neighbours."""
