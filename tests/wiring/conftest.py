"""The fixtures of trainings and comparisons, here for tests of what lies between their parts."""

from tests.compare.conftest import config as compare_config  # noqa: F401
from tests.train.conftest import _cache, config, table  # noqa: F401
