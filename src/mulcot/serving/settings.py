"""How the service runs, and what it allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mulcot.media import ImageLimits
from mulcot.records import Json
from mulcot.serving.api_keys import Tokens

IMAGES = ImageLimits(max_bytes=15_000_000, max_pixels=25_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may hold and how long it may take."""

    body: int = 20_000_000
    """Bytes of one request."""
    bodies: int = 200_000_000
    """Bytes of all requests that are being received or read."""
    pictures: int = 800_000_000
    """Bytes of all opened pictures that wait or are being answered."""
    upload: int = 300_000_000
    """Bytes of a table with its zip of pictures, which goes to disk."""
    header_seconds: float = 10
    body_seconds: float = 30
    upload_seconds: float = 300
    reading_seconds: float = 30
    """How long a client may refuse to take what is sent to it."""
    items: int = 64
    """Posts of one request."""
    connections: int = 512
    images: ImageLimits = IMAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """One service."""

    name: str = "mulcot"
    """The model's name in replies."""
    host: str = "127.0.0.1"
    port: int = 8000
    hostnames: tuple[str, ...] = ()
    """Names under which browsers may reach it, in addition to addresses and localhost."""
    tokens: Tokens | None = None
    rate: int = 0
    """Posts per minute and token; 0 is no limit."""
    queue: int = 64
    batch_size: int = 16
    deadline: float = 60.0
    """Seconds until a request is given up."""
    image_hosts: tuple[str, ...] = ()
    """Where pictures may be fetched from."""
    examples: Sequence[Json] | None = None
    """Posts that the page offers to try; None takes drawn ones where the model knows the synthetic world."""
    limits: Limits = Limits()
