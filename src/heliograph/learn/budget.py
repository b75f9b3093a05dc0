"""Minutes to epochs: a short probe of how long one takes."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import numpy as np

from heliograph.errors import UsageError
from heliograph.learn.ensemble import fabric_for
from heliograph.learn.job import Job
from heliograph.learn.loop import Member
from heliograph.learn.progress import silent
from heliograph.learn.state import Counters

MOST = 1000  # epochs that a budget may turn into
WARM, LEAST_STEPS = 2, 6  # steps that are not counted, steps that are made in any case
PROBE_SHARE = 0.05  # of the time that is left, at most
RESERVE = 0.05  # of the time that is left, kept for predictions
_PART = re.compile(r"(\d+(?:\.\d*)?)\s*([a-z]*)")
_UNITS = {"": 60.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """`90s`, `10m`, `1.5h`, `1h30m`, a bare number in minutes. Raises UsageError."""
    parts = _PART.findall(text.lower())
    if not parts or _PART.sub("", text.lower()).strip() or any(unit not in _UNITS for _, unit in parts):
        raise UsageError(f"--budget {text}: expected a time like 90s, 10m or 2h")
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if total <= 0:
        raise UsageError(f"--budget {text}: expected more than no time, like 90s, 10m or 2h")
    return total


def epochs(job: Job, left: float, trainings: int) -> tuple[int, str]:
    """How many epochs fit into `left` seconds of `trainings` members, and that in words.

    Steps of training and one evaluation are timed on a network that is thrown away.
    """
    device = fabric_for(job.fit.model_copy(update={"devices": 1}))
    member = Member(replace(job, folder=None), device, Counters(), {}, silent())
    limit = max(0.2, min(20.0, PROBE_SHARE * left))
    order = np.random.default_rng(job.fit.seed).permutation(job.parts["train"])
    times: list[float] = []
    for k, piece in enumerate(member.batches):
        started = time.perf_counter()
        member.step(member.drawn(order[piece], k), k)
        times.append(time.perf_counter() - started)
        if sum(times) > limit and k >= LEAST_STEPS:
            break
    per_step = float(np.median(times[WARM:] or times))  # the first ones pay for things once
    started = time.perf_counter()
    rows = job.parts["val"][: 16 * job.fit.batch_size]
    member.evaluate(rows)
    per_val = (time.perf_counter() - started) / max(len(rows), 1) * len(job.parts["val"])
    one = per_step * len(member.batches) + per_val
    fitting = int(left * (1.0 - RESERVE) / (one * trainings))
    found = max(1, min(fitting, MOST))
    what = f"{trainings} trainings" if trainings > 1 else "the training"
    text = f"Budget: an epoch takes about {one:.3g} s and {left:.0f} s are left for {what}: {found} epoch{'s' * (found > 1)}"
    return found, text + (" (one is the least)." if fitting < 1 else f" (at most {MOST})." if fitting > MOST else ".")
