"""Learning curves of the final trainings and of their pretrainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from napari_ssl_muscle.experiments.arms import read_rows
from napari_ssl_muscle.experiments.published.trial import arm_title
from napari_ssl_muscle.experiments.report.figures import arm_colours, draw
from napari_ssl_muscle.experiments.report.results import Results, TrialRow
from napari_ssl_muscle.experiments.report.table import Table
from napari_ssl_muscle.experiments.report.tables import FINAL
from napari_ssl_muscle.jobs.run_folder import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = Mapping[str, np.ndarray]
"""Metric → its value in each epoch, NaN where there is none; "step" says when."""


def read_curve(results: Results, trial: TrialRow) -> Curve | None:
    """Read the figures of a run's epochs; None where there are none."""
    rows = read_rows(results.run_folder(trial) / METRICS)
    if not rows:
        return None
    return {
        name: np.array([float(row[name]) if row[name] else np.nan for row in rows])
        for name in rows[0]
    }


def final_curves(results: Results) -> dict[str, Curve]:
    """Return run → curve of the final trainings, split by subject."""
    found = {t.run: read_curve(results, t) for t in results.finetunings(FINAL)}
    return {run: curve for run, curve in found.items() if curve is not None}


def pretraining_curves(results: Results) -> dict[str, tuple[str, Curve]]:
    """Return run → (arm, curve) of the pretrainings that the final trainings start from."""
    found = {}
    for trial in results.finetunings(FINAL):
        pretraining = results.pretraining_of(trial)
        if pretraining is not None and (curve := read_curve(results, pretraining)) is not None:
            found[pretraining.run] = trial.arm, curve
    return found


def curve_figures(results: Results) -> list[Markup]:
    """Draw losses and validation Dice over steps, and the pretrainings' error inside the masks.

    One thin line for each training (fold and seed), so that their spread is seen.
    """
    curves = final_curves(results)
    arms = results.arms(FINAL)
    by_arm = [
        (trial.arm, curves[trial.run])
        for trial in results.finetunings(FINAL)
        if trial.run in curves
    ]
    pretrained = list(pretraining_curves(results).values())
    figures = [
        _lines("curve-loss", "Training loss", "Training loss", by_arm, arms, "train_loss"),
        _lines(
            "curve-validation-loss",
            "Validation loss",
            "Validation loss",
            by_arm,
            arms,
            "validation_loss",
        ),
        _lines("curve-dice", "Validation Dice", "Validation Dice", by_arm, arms, "dice"),
        _lines(
            "curve-pretext",
            "Pretraining",
            "Error inside the masks, validation",
            pretrained,
            arms,
            "masked_error",
        ),
        _lines(
            "curve-pretext-loss",
            "Pretraining",
            "Training loss of the pretraining",
            pretrained,
            arms,
            "train_loss",
        ),
    ]
    return [figure for figure in figures if figure is not None]


def _lines(
    name: str,
    title: str,
    label: str,
    curves: Sequence[tuple[str, Curve]],
    arms: list[str],
    metric: str,
) -> Markup | None:
    shown = [(arm, curve) for arm, curve in curves if metric in curve]
    if not shown:
        return None
    colours = arm_colours(arms)

    def drawing(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        labelled: set[str] = set()
        for arm, curve in shown:
            known = ~np.isnan(curve[metric])
            axes.plot(
                curve["step"][known],
                curve[metric][known],
                # A single epoch would draw no line at all.
                marker="." if known.sum() < 3 else "",
                color=colours[arm],
                linewidth=1,
                alpha=0.8,
                label=None if arm in labelled else arm_title(arm),
            )
            labelled.add(arm)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("Step")
        axes.set_ylabel(label)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)

    return draw(name, title, drawing)


def spread_table(results: Results) -> Table:
    """Return how far losses and Dice jump from epoch to epoch: a row for each start."""
    curves, pretrained = final_curves(results), pretraining_curves(results).values()
    rows: list[dict[str, Any]] = []
    for arm in results.arms(FINAL):
        trials = [t for t in results.finetunings(FINAL, arm) if t.run in curves]
        if not trials:
            continue
        here = [curves[trial.run] for trial in trials]
        before = [curve for name, curve in pretrained if name == arm]
        rows.append(
            {
                "arm": arm_title(arm),
                "trainings": len(trials),
                "last_loss": _mean(last(curve.get("train_loss")) for curve in here),
                "loss_spread": _mean(epoch_spread(curve.get("train_loss")) for curve in here),
                "validation_loss_spread": _mean(
                    epoch_spread(curve.get("validation_loss")) for curve in here
                ),
                "dice_spread": _mean(epoch_spread(curve.get("dice")) for curve in here),
                "pretext_loss_spread": _mean(epoch_spread(c.get("train_loss")) for c in before),
                "masked_error_spread": _mean(epoch_spread(c.get("masked_error")) for c in before),
            }
        )
    return Table(
        name="learning-curves",
        caption="Epoch-to-epoch spread, mean over trainings",
        columns={
            "arm": "Start",
            "trainings": "Trainings",
            "last_loss": "Last training loss",
            "loss_spread": "Spread of the training loss",
            "validation_loss_spread": "Spread of the validation loss",
            "dice_spread": "Spread of the validation Dice",
            "pretext_loss_spread": "Pretraining: spread of the loss",
            "masked_error_spread": "Pretraining: spread of the error in the masks",
        },
        rows=rows,
        digits=4,
        note="Spread: standard deviation of the change from one epoch to the next, over the second "
        "half of the training; “–” where it has too few epochs.",
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def epoch_spread(values: np.ndarray | None) -> float | None:
    """Return the standard deviation (n - 1) of epoch-to-epoch changes over the second half."""
    if values is None:
        return None
    known = values[~np.isnan(values)]
    changes = np.diff(known[len(known) // 2 :])
    return float(changes.std(ddof=1)) if len(changes) > 1 else None


def last(values: np.ndarray | None) -> float | None:
    """Return the last value that is there."""
    known = np.empty(0) if values is None else values[~np.isnan(values)]
    return float(known[-1]) if len(known) else None
