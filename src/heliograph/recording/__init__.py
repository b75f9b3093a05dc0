"""Recording: a network decides once how it is computed, and is replayed after that."""

from heliograph.recording.player import play
from heliograph.recording.switch import enabled, use

__all__ = ["enabled", "play", "use"]
