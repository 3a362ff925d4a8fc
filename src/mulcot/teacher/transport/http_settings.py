"""The options of every teacher that is reached by HTTP: how much at once, how patient, how pictures are sent."""

from __future__ import annotations

from typing import Literal

from mulcot.settings import volatile
from mulcot.teacher.base import Sampling, Teacher
from mulcot.teacher.transport.images import ImageSettings


class HttpTeacher(Teacher):
    """What all teachers behind a server have in common."""

    sampling: Sampling = Sampling()
    """How first attempts are drawn."""
    images: ImageSettings = ImageSettings()
    """How pictures are prepared."""
    structured: Literal["off", "json_schema"] = "off"
    """`json_schema` has the server force the reply into the shape of the chain; one that cannot is asked for text."""
    concurrency: int = volatile(64, ge=1, le=4096)
    """Requests in flight at most, over all servers. It is approached slowly and left when the server asks for less."""
    start_concurrency: int = volatile(16, ge=1)
    """Requests in flight at the beginning."""
    requests_per_minute: float | None = volatile(None, gt=0)
    """A cap of your contract; null for none."""
    tokens_per_minute: float | None = volatile(None, gt=0)
    """A cap of your contract, prompt and completion together; null for none."""
    timeout: float = volatile(180.0, gt=0)
    """Seconds for one reply."""
    connect_timeout: float = volatile(15.0, gt=0)
    """Seconds for a connection."""
    tries: int = volatile(6, ge=1, le=100)
    """How often one request is sent when the server fails at it. Waiting for a rate limit does not count, a dropped
    connection or a bad gateway counts a quarter, and nothing counts while the server is away."""
    patience: float = volatile(600.0, gt=0)
    """Seconds without any success from any server after which the run stops; the same command continues it."""
    max_reply_bytes: int = volatile(4_000_000, ge=10_000)
    """Replies beyond this are not read."""
    use_proxy: bool = volatile(False)
    """Honour the HTTP_PROXY, HTTPS_PROXY and NO_PROXY variables."""

    def width(self) -> int:
        """More hands than requests in flight: many are always waiting for a picture or for the disk."""
        return 2 * self.concurrency + 8

    def start_sampling(self) -> Sampling:
        """The sampling of first attempts."""
        return self.sampling

    def image_settings(self) -> ImageSettings:
        """How pictures are prepared for it."""
        return self.images
