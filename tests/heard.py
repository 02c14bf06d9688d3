"""Progress that tests can ask what it was told."""

from __future__ import annotations

from mmvae.foundations.progress import Progress


class Heard(Progress):
    """Progress that remembers its lines, and the parts that were done."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.parts: list[tuple[str, int, int]] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def part(self, what: str, done: int, total: int) -> None:
        self.parts.append((what, done, total))
