"""What the help shows beside each verb: the group it stands in, and one example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typer import Typer

# Group -> its verbs; the verbs of `heliograph.cli.VERBS` that are in none come last, under "More".
GROUPS = {
    "Learn": ("train", "compare", "evaluate", "calibrate"),
    "Ask": ("explain", "diagnose", "drift", "models"),
    "Use": ("predict", "screen", "expand", "active", "embed", "serve"),
    "Graphs": ("cluster", "impute", "rewire"),
    "Atoms": ("relax", "md", "generate", "label"),
    "Tools": ("data", "split", "report", "doctor"),
}
GRAPHS = "One graph given as tables: heliograph train nodes.csv --edges edges.csv -o run"

# Verb, or module of a verb -> a command line that does what most people want of it.
EXAMPLES = {
    "train": "heliograph train molecules.csv --target-columns logS -o run",
    "train_graph": "heliograph train nodes.csv --edges edges.csv --target-columns label -o run",
    "compare": "heliograph compare molecules.csv --archs gcn gin dmpnn -o comparison",
    "evaluate": "heliograph evaluate run measured.csv",
    "calibrate": "heliograph calibrate run measured.csv -o calibrated.safetensors",
    "explain": "heliograph explain run molecules.csv -o explained.html",
    "explain_graph": "heliograph explain run --do alice -o effects.csv",
    "diagnose": "heliograph diagnose nodes.csv --edges edges.csv -o diagnosis",
    "drift": "heliograph drift run new.csv",
    "models": "heliograph models show gin",
    "predict": "heliograph predict run new.csv -o predicted.csv",
    "predict_graph": "heliograph predict run --pairs pairs.csv -o predicted.csv",
    "screen": "heliograph screen run library.smi --top 1000 -o hits",
    "active": "heliograph active suggest run pool.csv --count 96 --known measured.csv -o batch.csv",
    "expand": "heliograph expand hits.csv --library library.smi -o analogues.csv",
    "cluster": "heliograph cluster nodes.csv --edges edges.csv --clusters 7 -o clusters.csv",
    "impute": "heliograph impute nodes.csv --edges edges.csv -o filled.csv",
    "rewire": "heliograph rewire --edges edges.csv --method fosr -o rewired.csv",
    "generate": "heliograph generate train molecules.sdf --budget 1h -o generator",
    "embed": "heliograph embed run molecules.csv -o vectors.parquet",
    "serve": "heliograph serve run --port 8000",
    "relax": "heliograph relax run start.xyz -o relaxed.xyz",
    "md": "heliograph md run start.xyz --ensemble nvt --temperature 300 -o trajectory",
    "label": "heliograph label molecules.csv -o labelled.csv",
    "data": "heliograph data fetch esol",
    "split": "heliograph split molecules.csv --split scaffold -o split.csv",
    "report": "heliograph report run",
    "doctor": "heliograph doctor --compile",
}


def with_example(app: Typer, name: str) -> Typer:
    """Return the verb's application with its example at the end of its help; what it says there already stays."""
    if name not in EXAMPLES:
        return app
    text = f"Example: {EXAMPLES[name]}"
    one = app.registered_commands[0] if len(app.registered_commands) == 1 else app.info
    place: Any = app.registered_callback or one
    said = place.epilog if isinstance(place.epilog, str) else ""
    if not said.startswith(text):
        place.epilog = f"{text}\n\n{said}" if said else text
    return app
