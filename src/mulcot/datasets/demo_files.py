"""What the tiny demo copies of the datasets are made of: pictures drawn in code."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

COLOURS = ("tomato", "gold", "seagreen", "royalblue", "orchid")


def draw(number: int, size: tuple[int, int] = (48, 36)) -> Image.Image:
    """A small picture that differs with its number."""
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((4 + number % 7, 4, 28 + number % 13, 30), fill=COLOURS[number % len(COLOURS)])
    pen.text((30, 20), str(number), fill="black")
    return image


def save_picture(path: Path, number: int) -> None:
    """Writes it, with its folder; the suffix says how."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(number).save(path)


def png(number: int) -> bytes:
    """Its bytes, for formats that carry pictures inside."""
    out = io.BytesIO()
    draw(number).save(out, "PNG")
    return out.getvalue()


def save_text(path: Path, text: str) -> None:
    """Writes a text file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def save_json(path: Path, data: Any) -> None:
    """Writes a JSON file, with its folder."""
    save_text(path, json.dumps(data))
