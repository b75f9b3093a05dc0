"""Error bars: calibration on molecules that were not trained on, conformal intervals, and figures
that tell whether they hold.

Numbers in, plain data out: nothing here knows a network or a molecule. `regression` and `classes`
fit what a model file keeps, `metrics` and `class_metrics` judge it.
"""

from __future__ import annotations
