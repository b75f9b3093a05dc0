"""`heliograph explain`: options -> ExplainConfig -> `heliograph.explain.explain_file` -> a page of
drawn molecules, or a table.
"""

from __future__ import annotations

from typing import Any

from heliograph.cli.common import Bar, Model, Molecules, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_data, with_options
from heliograph.explain import ExplainConfig

OPTIONS = options_of(ExplainConfig, "Explanation", leave_out=("model_path",))

app = new_app()


@app.command()
@with_options(OPTIONS)
def explain(
    model: Model,
    data: Molecules = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Show which atoms a prediction rests on, drawn on the molecules, with a figure that says how far to believe it."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written."):
        given = with_data(given, data)
        config = build(ExplainConfig, given | {"model_path": model}, named(given))
        from heliograph.explain import explain_file
        from heliograph.report.explained import verdict, write

        with Bar(quiet) as bar:
            found, predictor = explain_file(config, lambda done: bar("explaining", done, config.top))
        target = config.target or predictor.targets[0]
        unit = predictor.task.units[predictor.targets.index(target)] if predictor.task.kind == "regression" else "logit"
        about = {
            "model": str(config.model_path),
            "method": config.method,
            "target": target,
            "unit": unit,
        }
        path = write(found, about, config.output_path)
        if not quiet:
            print(verdict(found, config.method))
            bad = [one for one in found if one.reason]
            if bad:
                print(f"{len(bad):,} of {len(found):,} rows can't be used, the first: row {bad[0].row + 1}, {bad[0].reason}")
            print(path)
