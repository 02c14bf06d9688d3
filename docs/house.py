"""Draw the rooms of `mmvae/` and what they import of each other, from the source itself.

    python docs/house.py            # writes docs/figures/house.svg

A test draws it again and compares, so that the drawing is never out of date.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DRAWING = ROOT / "docs" / "figures" / "house.svg"

CELL, LEFT, TOP = 38, 150, 150
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#222}.n{font-weight:600}.s{font-size:12.5px;"
    "fill:#555}.c{font-size:12px;text-anchor:middle}rect{stroke:#fff}"
)


def rooms() -> list[str]:
    """The packages of the core from the top down, as the import contract orders them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return [room for room in layers if not room.startswith("(")]


def imports(room: str) -> Iterator[str]:
    """The room of each import of another room, once for each statement."""
    for path in sorted((ROOT / "mmvae" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mmvae."):
                other = str(node.module).split(".")[1]
                if other != room:
                    yield other


def svg() -> str:
    """The drawing: a row for each room, and in it how often it imports from each other one."""
    order = rooms()
    width, height = LEFT + CELL * len(order) + 70, TOP + CELL * len(order) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" '
        f'aria-label="How often each room of mmvae imports from those below it">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        '<text x="14" y="24" class="n">The rooms of mmvae/</text>',
        '<text x="14" y="44" class="s">Each row: how many imports a room takes</text>',
        '<text x="14" y="60" class="s">from those below it. None leads up.</text>',
    ]
    for place, room in enumerate(order):
        y, x = TOP + CELL * place, LEFT + CELL * place
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 24}" text-anchor="end" class="n">{room}/</text>',
            f'<text transform="translate({x + 24} {TOP - 10}) rotate(-60)">{room}/</text>',
            f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="#bbb"/>',
        ]
        counts = Counter(imports(room))
        for column, other in enumerate(order):
            if count := counts[other]:
                shade = min(1.0, 0.12 + count**0.5 / 11)
                ink = "#fff" if shade > 0.55 else "#222"
                x = LEFT + CELL * column
                parts += [
                    f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="#0072b2" '
                    f'fill-opacity="{shade:.2f}"/>',
                    f'<text x="{x + CELL // 2}" y="{y + 24}" class="c" '
                    f'style="fill:{ink}">{count}</text>',
                ]
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    DRAWING.write_text(svg(), encoding="utf-8")
    print(DRAWING)
