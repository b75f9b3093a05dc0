"""Recording: a network decides once how it is computed, and is replayed after that."""

from heliograph.recording.player import Program, known, noted, play
from heliograph.recording.switch import enabled, use

__all__ = ["Program", "enabled", "known", "noted", "play", "use"]
