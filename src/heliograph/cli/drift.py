"""`heliograph drift`: options -> DriftConfig -> `heliograph.predictor.drift.drift` -> a few
sentences.
"""

from __future__ import annotations

from typing import Any

from heliograph.cli.common import Model, Molecules, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_data, with_options
from heliograph.predictor.drift import DriftConfig

OPTIONS = options_of(DriftConfig, "Drift", leave_out=("model_path",))

app = new_app()


@app.command()
@with_options(OPTIONS)
def drift(
    model: Model,
    data: Molecules = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Say whether new molecules have moved away from what a model learned, a sentence on each sign of it."""
    with guarded(verbose):
        given = with_data(given, data)
        config = build(DriftConfig, given | {"model_path": model}, named(given))
        from heliograph.predictor.drift import drift as look

        found = look(config)
        if not quiet:
            for sentence in found.sentences:
                print(sentence)
