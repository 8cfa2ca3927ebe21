"""The experiments that try settings: a table of each one's grid, and what it chose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from napari_ssl_muscle.experiments.published.trial import arm_title
from napari_ssl_muscle.experiments.report import published
from napari_ssl_muscle.experiments.report.results import Part, Results, TrialRow
from napari_ssl_muscle.experiments.report.table import Table
from napari_ssl_muscle.experiments.report.tables import mean_over_subjects
from napari_ssl_muscle.jobs.text import FREEZE_TITLES

FOLDED_FROM = 10
"""Rows from which a grid is folded away."""

SETTING_TITLES = {
    "lr": "Learning rate",
    "optimizer": "Optimiser",
    "momentum": "Momentum",
    "batch": "Batch",
    "mask_percent": "Masked, %",
    "kernel_size": "K, pixels",
    "freeze": "Frozen",
    "width": "Width",
    "depth": "Depth",
    "corruption": "Pretext task",
    "added_folders": "More folders",
}


def grid_table(results: Results, key: str) -> Table:
    """Return the Dice of each cell of an experiment, the best first.

    Arms that go through the same cells get a column each; in experiments 1 and 2, in which the cell
    makes the arm, there is one column. Cells that were chosen are marked, with how many folds chose
    them. Where the experiment is tested, the figures are those on test data.
    """
    experiment = results.experiment(key)
    trials = results.finetunings(key)
    part: Part = "test" if experiment is not None and experiment.tested else "validation"
    of_cell: dict[str, list[TrialRow]] = {}
    for trial in trials:
        of_cell.setdefault(trial.cell, []).append(trial)
    crossed = any(len({t.arm for t in found}) > 1 for found in of_cell.values())
    arms = results.arms(key) if crossed else [""]
    arms = [arm for arm in arms if not arm or any(t.arm == arm for t in trials)]
    names = list(dict.fromkeys(name for cell in of_cell for name, _ in settings_of(cell)))
    rows: list[dict[str, Any]] = []
    for cell, found in of_cell.items():
        row: dict[str, Any] = dict.fromkeys(names)
        row |= {name: _value(name, value) for name, value in settings_of(cell)}
        if not cell and names:
            row[names[0]] = "from scratch"
        for arm in arms:
            here = [trial for trial in found if arm in ("", trial.arm)]
            row[f"dice {arm}".strip()] = mean_over_subjects(results.scores(here, part))
            row[f"chosen {arm}".strip()] = _times_chosen(results, key, arm, cell)
        rows.append(row)
    dice = [f"dice {arm}".strip() for arm in arms]
    chosen = [f"chosen {arm}".strip() for arm in arms]
    rows.sort(key=lambda row: -max((row[name] or 0.0 for name in dice), default=0.0))
    if not any(row[name] for row in rows for name in chosen):
        chosen = []
    columns: dict[str, str] = {name: SETTING_TITLES.get(name, name) for name in names}
    for arm, score in zip(arms, dice, strict=True):
        columns[score] = f"{arm_title(arm)}: {part} Dice" if arm else f"{part.capitalize()} Dice"
        if chosen:
            columns[f"chosen {arm}".strip()] = "Chosen"
    return Table(
        name=f"experiment-{key}",
        caption=f"3D Dice per subject on {part} data, mean over folds and seeds",
        columns=columns,
        rows=rows,
        marked=frozenset(i for i, row in enumerate(rows) if any(row[name] for name in chosen)),
        digits=4,
        folded=len(rows) >= FOLDED_FROM,
    )


def winners(results: Results, key: str) -> list[tuple[str, str]]:
    """Return (arm, what an experiment chose), most folds first; the arm is empty where it is one.

    The text names how many folds chose it where they did not agree.
    """
    rows = [row for row in results.choices if row["experiment"] == key]
    arms = dict.fromkeys(row["arm"] for row in rows)
    found = []
    for arm in arms:
        here = [row for row in rows if row["arm"] == arm]
        folds = len({row["fold"] for row in here})
        counts = Counter(row["cell"] for row in here if row["chosen"] == "1")
        texts = [
            format_cell(cell) + ("" if count == folds else f" ({count} of {folds} folds)")
            for cell, count in counts.most_common()
        ]
        shown = "" if arm == "pretrained" or len(arms) == 1 else arm_title(arm)
        found.append((shown, "; ".join(texts)))
    return found


def winners_table(results: Results) -> Table:
    """Return what was published as best beside what was chosen here."""
    rows = [
        {
            "experiment": f"{key} {found.name}",
            "published": text,
            "ours": "; ".join(
                f"{arm}: {choice}" if arm else choice for arm, choice in winners(results, key)
            )
            or "not finished",
        }
        for key, text in published.CHOSEN.items()
        if (found := results.experiment(key)) is not None
    ]
    return Table(
        name="chosen",
        caption="What each experiment chose",
        columns={"experiment": "Experiment", "published": "Published", "ours": "Here"},
        rows=rows,
    )


def settings_of(cell: str) -> list[tuple[str, str]]:
    """Return the settings of a cell's name, "lr=1e-05 optimizer=adam"."""
    return [(name, value) for name, _, value in (part.partition("=") for part in cell.split())]


def format_cell(cell: str) -> str:
    """Return a cell as text: "learning rate 1e-05, optimiser adam", "10 % masked, K 16"."""
    return ", ".join(_format_setting(*setting) for setting in settings_of(cell)) or "–"


def _format_setting(name: str, value: str) -> str:
    if name == "mask_percent":
        return f"{value} % masked"
    if name == "kernel_size":
        return f"K {value}"
    if name == "freeze":
        return _value(name, value)
    title = SETTING_TITLES.get(name, name)
    return f"{title[0].lower()}{title[1:]} {_value(name, value)}"


def _value(name: str, value: str) -> str:
    """Return a setting's value as it is called elsewhere."""
    return FREEZE_TITLES.get(value, value) if name == "freeze" else value


def mask_grid(results: Results) -> dict[tuple[float, int], float | None]:
    """Return (percent masked, kernel size) → validation Dice of experiment 2."""
    cells: dict[tuple[float, int], list[TrialRow]] = {}
    for trial in results.finetunings("2"):
        settings = dict(settings_of(trial.cell))
        if "mask_percent" in settings and "kernel_size" in settings:
            key = float(settings["mask_percent"]), int(float(settings["kernel_size"]))
            cells.setdefault(key, []).append(trial)
    return {
        key: mean_over_subjects(results.scores(trials, "validation"))
        for key, trials in cells.items()
    }


def freeze_modes(results: Results) -> dict[str, list[TrialRow]]:
    """Return freeze mode → trials of experiment 3."""
    modes: dict[str, list[TrialRow]] = {}
    for trial in results.finetunings("3"):
        mode = dict(settings_of(trial.cell)).get("freeze", "none")
        modes.setdefault(mode, []).append(trial)
    return modes


def _times_chosen(results: Results, key: str, arm: str, cell: str) -> int | None:
    """Return in how many folds a cell was chosen, by an arm or, without one, by any."""
    rows: Iterable[Any] = (
        row
        for row in results.choices
        if row["experiment"] == key
        and row["cell"] == cell
        and row["chosen"] == "1"
        and (not arm or row["arm"] == arm)
    )
    return sum(1 for _ in rows) or None
