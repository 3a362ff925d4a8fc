"""How good, how fast and how unreliable the simulated teacher is."""

from __future__ import annotations

from pydantic import Field, model_validator

from mulcot.settings import Settings, volatile

Share = Field(default=0.0, ge=0, le=1)


class Mistakes(Settings):
    """Shares of malformed replies, drawn from each request's content: asked otherwise, it answers otherwise."""

    missing_fields: float = Share
    """One or two fields are left out."""
    truncated: float = Share
    """The reply ends in the middle of a field, at the token limit."""
    empty: float = Share
    """Nothing at all."""
    refused: float = Share
    """An apology instead of an answer."""
    filtered: float = Share
    """Withheld by a content filter."""
    unparsable: float = Share
    """A prediction that is no label."""
    leak: float = Share
    """When the label was given: says so."""
    control_tokens: float = Share
    """A right chain with control tokens of other models strewn in."""
    foreign: float = Share
    """A chain about another post."""
    dressed: float = Share
    """A right chain as JSON in a code fence, with markdown headings, or with unquoted values."""

    @model_validator(mode="after")
    def _at_most_all(self) -> Mistakes:
        if sum(self.identity().values()) > 1:
            raise ValueError("the shares add up to more than 1")
        return self


class Troubles(Settings):
    """Shares of requests that the server fails at first. A request is failed once or twice, then answered."""

    rate_limited: float = Share
    """429."""
    retry_after: float | None = Field(default=None, ge=0)
    """Seconds that a 429 asks to wait; null leaves the header out."""
    server_errors: float = Share
    """500 or 503."""
    dropped: float = Share
    """The connection is closed without an answer."""
    garbage: float = Share
    """A reply that is no chat completion."""
    slow: float = Share
    """The body trickles in over a few seconds."""
    huge: float = Share
    """A body of 50 MB."""
    burst_every: int | None = Field(default=None, ge=1)
    """After every so many requests comes a burst of 429."""
    burst_length: int = Field(default=20, ge=1)
    """How many requests a burst refuses."""


class Simulation(Settings):
    """Everything that can be set about the simulated teacher."""

    skill: float = Field(default=0.75, ge=0, le=1)
    """Share of posts that it judges rightly without the label."""
    bias: dict[str, float] = Field(default_factory=dict)
    """Adds to the skill for posts of a label, such as `{neutral: -0.2}`."""
    seed: int = 0
    """Another seed errs on other posts."""
    mistakes: Mistakes = Mistakes()
    """Malformed replies."""
    troubles: Troubles = volatile(Troubles())
    """Failing transport."""
    latency_ms: float = volatile(0.0, ge=0)
    """The median time to an answer."""
    latency_spread: float = volatile(0.3, ge=0, le=3)
    """Sigma of the log-normal around it; 0 for equal times."""
