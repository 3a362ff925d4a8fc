"""How each kind of scene is painted: one file per kind, `paint(canvas, scene)`, back to front, in grid units.

The upper band is the setting, the middle the main thing, the lower left the counted things, the lower right the extra.
"""

from __future__ import annotations

from collections.abc import Callable

from mulcot.world.canvas import Canvas
from mulcot.world.painters import dog, face, flower, house, player, table
from mulcot.world.scene import Scene

PAINTERS: dict[str, Callable[[Canvas, Scene], None]] = {
    "face": face.paint,
    "dog": dog.paint,
    "flower": flower.paint,
    "table": table.paint,
    "player": player.paint,
    "house": house.paint,
}
