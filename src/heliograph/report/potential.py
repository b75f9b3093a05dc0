"""What the report of a potential says: errors of energies and forces, where they are large, how they fell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from heliograph.potential.result import LABELS, PotentialResult, described
from heliograph.report import page, plots
from heliograph.report.digits import count, duration, number, plural, shorten, with_unit
from heliograph.report.words import PART_WORDS, Headline

MOST_GROUPS = 20
CHOSEN = ("forces_mae", "energy_mae_per_atom", "energy_mae")


def write(result: PotentialResult, path: str | Path) -> Path:
    """Draw `result` into one HTML file. Returns the path; HeliographError where it can't be written."""
    with np.errstate(all="ignore"):
        return page.write("potential.html", _content(result), path)


def _content(result: PotentialResult) -> dict[str, Any]:
    part = next((p for p in ("test", "val") if p in result.metrics), "")
    settings = [(k, v) for group in ("frames", "potential", "fit") for k, v in result.config[group].items() if v not in (None, [], {})]
    return {
        "title": _title(result),
        "finished": "",
        "kind": "potential",
        "headline": _headline(result, part),
        "part": PART_WORDS.get(part, ""),
        "command": result.command,
        "notes": result.notes,
        "settings": [(shorten(str(k), 40), shorten(str(v), 120)) for k, v in settings],
        "frames": plural(result.frames, "frame"),
        "sizes": ", ".join(f"{count(n)} {PART_WORDS[p]}" for p, n in result.sizes.items()),
        "labels": [(name, count(n)) for name, n in result.labels.items() if n],
        "bad": [(n + 1, shorten(reason, 160)) for n, reason in result.bad[:100]],
        "bad_total": len(result.bad),
        "rows": _rows(result),
        "parts": [PART_WORDS[p] for p in result.metrics],
        "figures": _parity(result, part) if part else [],
        "groups": _groups(result, part) if part else [],
        "curves": _curves(result),
        "facts": [
            ("parameters", count(result.parameters)), ("epochs", count(len(result.history))), ("time", duration(result.seconds)),
        ],
        "model_file": result.model_file,
        "versions": [(shorten(str(k), 40), shorten(str(v), 80)) for k, v in result.versions.items()],
    }  # fmt: skip


def _title(result: PotentialResult) -> str:
    arch, data = result.config["potential"]["arch"], result.config["frames"]["data_path"]
    return f"{shorten(Path(arch).stem, 40)} on {shorten(Path(data).name, 60)}"


def _headline(result: PotentialResult, part: str) -> Headline:
    if not part:
        return Headline(
            "The model was trained on all frames: none were kept apart to test it, so nothing is known of its error.",
            (),
            (),
        )
    own, zero = result.metrics[part], result.zero[part]
    names = [name for name in CHOSEN if name in own] or [name for name in own if name.endswith("_mae")][:3]
    if not names:
        return Headline(f"The {PART_WORDS[part]} frames have no labels: nothing is known of the error.", (), ())
    words, unit = described(names[0])
    where = plural(result.sizes[part], PART_WORDS[part] + " frame")
    error = with_unit(number(own[names[0]]), unit)
    lead = f"The {words.replace(', MAE', '')} is off by {error} on average (MAE) on {where}."
    flattering = "They chose the epoch that was kept, so they flatter the model."
    rest = [] if part == "test" else [f"There was no test part: these are validation figures. {flattering}"]
    rest.append(f"Without a model (no forces, the mean energy) it would be {with_unit(number(zero[names[0]]), unit)}.")
    figures = [(with_unit(number(own[name]), described(name)[1]), f"{described(name)[0]}, {PART_WORDS[part]}") for name in names]
    return Headline(lead, tuple(rest), (*figures, (duration(result.seconds), "to train")))


def _rows(result: PotentialResult) -> list[tuple[str, str, list[str], str]]:
    """Words, unit, the errors of each part, and those without a model."""
    last = list(result.metrics)[-1] if result.metrics else ""
    every = dict.fromkeys(name for figures in result.metrics.values() for name in figures)
    names = [*(name for name in LABELS if name in every), *(name for name in every if name not in LABELS)]
    return [
        (
            *described(name),
            [number(f[name]) if name in f else "" for f in result.metrics.values()],
            number(result.zero[last].get(name, np.nan)),
        )
        for name in names
    ]


def _parity(result: PotentialResult, part: str) -> list[tuple[Markup, str]]:
    a, found = result.arrays, []
    atoms, rows = a[f"{part}_atoms"], a[f"{part}_rows"]
    for name in [k[len(part) + 1 : -5] for k in a if k.startswith(f"{part}_") and k.endswith("_true")]:
        true, values = a[f"{part}_{name}_true"].ravel(), a[f"{part}_{name}"].ravel()
        there = np.isfinite(true)
        if there.any() and name not in ("energy", "forces", "stress"):
            found.append((plots.parity(true[there], values[there], None, [""] * int(there.sum()), ""), shorten(name, 40)))
    if f"{part}_energy" not in a:
        return found
    energy, true = a[f"{part}_energy"] / atoms, a[f"{part}_energy_true"] / atoms
    there = np.isfinite(true)
    if there.any():
        middle = float(true[there].mean())
        names = [f"frame {r}" for r in rows[there]]
        plot = plots.parity(true[there] - middle, energy[there] - middle, None, names, "eV/atom")
        found.append((plot, f"Energy per atom, less {middle:.4f} eV"))
    true, forces = a[f"{part}_forces_true"].ravel(), a[f"{part}_forces"].ravel()
    there = np.isfinite(true)
    if there.any():
        names = [f"frame {r}" for r in np.repeat(rows, atoms * 3)[there]]
        found.append((plots.parity(true[there], forces[there], None, names, "eV/Å"), "Force components"))
    return found


def _groups(result: PotentialResult, part: str) -> list[tuple[str, str, str, str]]:
    """Errors by config_type: name, frames, energy per atom, forces."""
    a = result.arrays
    kinds, atoms = a[f"{part}_config_type"], a[f"{part}_atoms"]
    if f"{part}_energy" not in a:
        return []
    energy = np.abs(a[f"{part}_energy"] - a[f"{part}_energy_true"]) / atoms
    of_atom = np.repeat(np.arange(len(atoms)), atoms)
    forces = np.abs(a[f"{part}_forces"] - a[f"{part}_forces_true"])
    rows = []
    for kind in np.unique(kinds)[:MOST_GROUPS]:
        mine = kinds == kind
        values = [1e3 * float(np.nanmean(x)) if np.isfinite(x).any() else np.nan for x in (energy[mine], forces[mine[of_atom]])]
        rows.append(
            (
                shorten(str(kind) or "no config_type", 40),
                count(int(mine.sum())),
                number(values[0]),
                number(values[1]),
            )
        )
    return rows if len(rows) > 1 else []


def _curves(result: PotentialResult) -> list[Markup]:
    found: list[Markup] = []
    if not result.history:
        return found
    members = sorted({row.member for row in result.history})
    for name, label in (
        ("loss", "loss"),
        ("forces_mae", "MAE of forces [meV/Å]"),
        ("energy_mae_per_atom", "MAE of energy [meV/atom]"),
    ):
        curves, best = [], []
        for m in members:
            rows = [row for row in result.history if row.member == m]
            epochs = np.array([row.epoch + 1 for row in rows])
            if name == "loss":
                curves.append(
                    (
                        "train",
                        "training" if m == members[0] else "",
                        epochs,
                        np.array([row.train_loss for row in rows]),
                    )
                )
            values = np.array([row.val_loss if name == "loss" else row.val_metrics.get(name, np.nan) for row in rows])
            if np.isfinite(values).any():
                curves.append(("model", "validation" if m == members[0] else "", epochs, values))
                kept = result.best_epochs[m] if m < len(result.best_epochs) else -1
                best += [(float(e), float(v)) for e, v in zip(epochs, values, strict=True) if e == kept + 1]
        if curves:
            found.append(plots.learning_curves(curves, label, best, log=True))
    return found
