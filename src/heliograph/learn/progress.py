"""What a long run tells whoever watches: how far each stage is, and lines that stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """A bar, or nothing. `total` None: not known."""

    def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None:
        """Stage `stage` has done `done` of `total`."""

    def say(self, text: str) -> None:
        """A line that stays."""


class Lines:
    """No bar: lines go to `write`."""

    def __init__(self, write: Callable[[str], object] = print):
        self.write = write

    def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        self.write(text)


def silent() -> Lines:
    """Says nothing at all."""
    return Lines(lambda text: None)
