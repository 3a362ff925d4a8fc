"""What the simulated teacher reads in a request: nothing but the text and the pictures that were really sent."""

from __future__ import annotations

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from mulcot.errors import MediaError
from mulcot.media import ImageLimits, open_image
from mulcot.world.boards import Board, read_board
from mulcot.world.recognition import truth_with
from mulcot.world.scene import Scene
from mulcot.world.scene_reading import read_scene
from mulcot.world.science import ScienceTruth, science_truth_with
from mulcot.world.truth import Truth

LIMITS = ImageLimits(max_bytes=10_000_000, max_pixels=4_000_000)
REMEMBERED = 4096

_LINE = re.compile(r"^(post|aspect|question|context|hint|caption|choices|options)\s*:[ \t]*(.*)$", re.IGNORECASE)
_CHOICE = re.compile(r"^\(?([A-Z])[).]\s+(.+)$")
_GIVEN = re.compile(r"^(?:label|answer)\s*:\s*(?:\(([A-Z])\)|([\w-]+))", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class ParsedRequest:
    """A request as it is understood."""

    system: str
    user: str
    truth: Truth | ScienceTruth | None
    """None where text or picture is nothing the simulated teacher knows."""
    given: str | None
    """The label that the request gives away."""
    labels: tuple[str, ...]
    pictures: int
    describe: bool = False
    """Whether a picture is to be described, and nothing judged."""
    shown: Scene | Board | None = None
    """What is on that picture; None where it is nothing the simulated teacher knows."""

    @property
    def right(self) -> str | None:
        """The right label."""
        return self.truth.label if self.truth else None


class BadRequest(ValueError):
    """The request is not one that a chat completions server would take."""


class PictureReader:
    """Looks at pictures, and remembers what it saw: stages and retries send the same ones."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[bool, str], Scene | Board | None] = OrderedDict()

    def scene(self, url: str) -> Scene | None:
        """The scene of a post that a data URL shows."""
        found = self._look(url, board=False)
        return found if isinstance(found, Scene) else None

    def board(self, url: str) -> Board | None:
        """The board of a question that a data URL shows."""
        found = self._look(url, board=True)
        return found if isinstance(found, Board) else None

    def _look(self, url: str, *, board: bool) -> Scene | Board | None:
        key = (board, url)
        if key not in self._seen:
            image = _decoded(url)
            self._seen[key] = read_board(image) if board else read_scene(image)
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return self._seen[key]


def understand(body: Mapping[str, Any], reader: PictureReader) -> ParsedRequest:
    """Reads a chat completions request."""
    system, user, urls = _messages(body)
    lines = _fields(user)
    given = _GIVEN.search(user)
    choices = tuple(text for _, text in lines.choices)
    label = (given[1] or given[2]) if given else None
    if choices:
        question, context = lines.named.get("question", ""), lines.named.get("context") or lines.named.get("hint")
        board = reader.board(urls[0]) if urls else None
        science = science_truth_with(question, context, choices, board) if not urls or board else None
        letters = tuple(letter for letter, _ in lines.choices)
        return ParsedRequest(system, user, science, label.upper() if label else None, letters, len(urls))
    truth = None
    scene = reader.scene(urls[0]) if urls else None
    if not urls or scene:
        truth = truth_with(lines.named.get("post", ""), scene, lines.named.get("aspect"))
    moods = ("positive", "neutral", "negative")
    if urls and not lines.named:
        return ParsedRequest(system, user, None, None, moods, len(urls), True, scene or reader.board(urls[0]))
    return ParsedRequest(system, user, truth, label.lower() if label else None, moods, len(urls))


@dataclass(frozen=True)
class _RequestLines:
    named: dict[str, str]
    choices: list[tuple[str, str]]


def _fields(user: str) -> _RequestLines:
    named: dict[str, str] = {}
    choices = []
    for line in user.splitlines():
        choice = _CHOICE.match(line.strip())
        match = _LINE.match(line.strip())
        if choice:
            choices.append((choice[1], choice[2].strip()))
        elif match:
            named.setdefault(match[1].lower(), match[2].strip())
    return _RequestLines(named, choices)


def _messages(body: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: a list of messages is needed")
    system: list[str] = []
    user: list[str] = []
    urls: list[str] = []
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") not in ("system", "user", "assistant"):
            raise BadRequest("messages: each needs a role of system, user or assistant")
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list):
            raise BadRequest("messages: content must be a text or a list of parts")
        for part in parts:
            kind = part.get("type") if isinstance(part, Mapping) else None
            if kind == "text":
                (system if message["role"] == "system" else user).append(str(part.get("text", "")))
            elif kind == "image_url" and isinstance(part.get("image_url"), Mapping):
                urls.append(str(part["image_url"].get("url", "")))
            else:
                raise BadRequest("messages: a part is a text or an image_url")
    return "\n".join(system), "\n".join(user), urls


def _decoded(url: str) -> Image.Image:
    head, _, data = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise BadRequest("image_url: only data URLs with base64 are read here")
    try:
        return open_image(base64.b64decode(data, validate=True), LIMITS)
    except (binascii.Error, MediaError) as error:
        raise BadRequest(f"image_url: {error}") from None
