"""Figures of Dice: validation–test gap, muscles, paired differences, labelled subjects, masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from napari_ssl_muscle.evaluation.statistics import MARGIN, Comparison, mean_by_subject
from napari_ssl_muscle.experiments.published.trial import arm_title
from napari_ssl_muscle.experiments.report import published
from napari_ssl_muscle.experiments.report.figures import FRAME, INK, arm_colours, draw
from napari_ssl_muscle.experiments.report.grids import mask_grid
from napari_ssl_muscle.experiments.report.results import Results
from napari_ssl_muscle.experiments.report.tables import FINAL, LABELLED, mean_over_subjects

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.34
"""Inches of a line of a figure with names to its left."""


def gap_figure(results: Results) -> Markup | None:
    """Draw validation and test Dice of each arm, by subject, by slice, and as published."""
    lines: list[tuple[str, float, float, str]] = []
    arms = results.arms(FINAL)
    colours = arm_colours(arms)
    for leaking, split in ((False, "by subject"), (True, "by slice, leaking")):
        for arm in arms:
            trials = results.finetunings(FINAL, arm, leaking=leaking)
            validation, test = (
                mean_over_subjects(results.scores(trials, part)) for part in ("validation", "test")
            )
            if validation is not None and test is not None:
                lines.append((f"{arm_title(arm)}, {split}", validation, test, colours[arm]))
    if not lines:
        return None
    lines += [
        (f"{arm_title(arm)}, published", value, published.DICE["test"][arm], FRAME)
        for arm, value in published.DICE["validation"].items()
    ]

    def drawing(axes: Axes) -> None:
        for y, (_, validation, test, colour) in enumerate(lines):
            axes.plot([validation, test], [y, y], color=colour, linewidth=2)
            axes.plot(validation, y, "o", color=colour, markerfacecolor="none", markersize=7)
            axes.plot(test, y, "o", color=colour, markersize=7)
        axes.plot([], [], "o", color=INK, markerfacecolor="none", label="validation")
        axes.plot([], [], "o", color=INK, label="test")
        _names(axes, [line[0] for line in lines])
        axes.set_xlabel("Dice")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    return draw("gap", "Validation and test Dice", drawing, (5.6, 1.2 + ROW * len(lines)))


def muscle_figure(results: Results) -> Markup | None:
    """Draw Dice per muscle on test data: a dot for each subject, a bar for the mean."""
    arms = [arm for arm in results.arms(FINAL) if results.finetunings(FINAL, arm)]
    if not arms:
        return None
    colours = arm_colours(results.arms(FINAL))

    def drawing(axes: Axes) -> None:
        step = 0.8 / len(arms)
        for index, arm in enumerate(arms):
            for y, muscle in enumerate(results.muscles):
                scores = results.scores(results.finetunings(FINAL, arm), "test", muscle)
                values = list(mean_by_subject(scores).values())
                here = y + (index - (len(arms) - 1) / 2) * step
                axes.plot(values, [here] * len(values), ".", color=colours[arm], markersize=6)
                if values:
                    axes.plot(
                        [np.mean(values)] * 2,
                        [here - step * 0.45, here + step * 0.45],
                        color=colours[arm],
                        linewidth=2.5,
                    )
            axes.plot([], [], ".", color=colours[arm], label=arm_title(arm))
        _names(axes, results.muscles)
        axes.set_xlim(-0.03, 1.03)
        axes.set_xlabel("3D Dice")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)

    height = 1.2 + 0.16 * len(results.muscles) * (1 + len(arms))
    return draw("muscles", "Dice per muscle on test data", drawing, (5.6, height))


def difference_figure(found: Mapping[str, Comparison]) -> Markup | None:
    """Draw paired differences: subjects as dots, seeds as crosses, the mean with its interval."""
    if not found:
        return None

    def drawing(axes: Axes) -> None:
        axes.axvspan(-MARGIN, MARGIN, color=FRAME, alpha=0.2, linewidth=0)
        axes.axvline(0, color=INK, linewidth=0.8)
        for y, entry in enumerate(found.values()):
            differences = [entry.second[s] - entry.first[s] for s in entry.first]
            axes.plot(differences, [y] * len(differences), "o", color=FRAME, markersize=4)
            seeds = list(entry.by_seed.values())
            axes.plot(seeds, [y + 0.22] * len(seeds), "x", color="#e07b1a", markersize=5)
            if entry.interval is not None:
                axes.plot(entry.interval.t, [y, y], color="#2f8fd0", linewidth=2)
            axes.plot(entry.difference, y, "D", color="#2f8fd0", markersize=6)
        axes.plot([], [], "o", color=FRAME, markersize=4, label="subject")
        axes.plot([], [], "x", color="#e07b1a", label="seed")
        axes.plot([], [], "D-", color="#2f8fd0", label="mean, 95 %")
        _names(axes, list(found))
        ends = [abs(v) for entry in found.values() for v in _shown(entry)]
        width = max(0.05, 1.1 * max(ends))
        axes.set_xlim(-width, width)
        axes.set_xlabel("Difference in Dice, pretrained − baseline")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)

    return draw("differences", "Paired differences in Dice", drawing, (6.4, 1.3 + ROW * len(found)))


def _shown(entry: Comparison) -> list[float]:
    """Return what has to fit; an interval may run beyond the edge."""
    differences = [entry.second[s] - entry.first[s] for s in entry.first]
    return [*differences, *entry.by_seed.values()]


def labelled_figure(results: Results) -> Markup | None:
    """Draw Dice against labelled subjects: a line for each arm, a dot for each seed."""
    arms = results.arms(LABELLED)
    if not arms:
        return None
    colours = arm_colours(arms)

    def drawing(axes: Axes) -> None:
        ticks: set[int] = set()
        for index, arm in enumerate(arms):
            trials = results.finetunings(LABELLED, arm)
            counts = sorted({trial.labelled or 0 for trial in trials})
            ticks |= set(counts)
            means = []
            for count in counts:
                here = [trial for trial in trials if trial.labelled == count]
                means.append(mean_over_subjects(results.scores(here, "test")) or 0.0)
                for seed in sorted({trial.seed for trial in here}):
                    of_seed = [trial for trial in here if trial.seed == seed]
                    value = mean_over_subjects(results.scores(of_seed, "test"))
                    if value is None:
                        continue
                    x = count * 1.05 ** (index - (len(arms) - 1) / 2)
                    axes.plot(x, value, ".", color=colours[arm], alpha=0.7)
            axes.plot(counts, means, "-", color=colours[arm], linewidth=2, label=arm_title(arm))
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(ticks), [str(tick) for tick in sorted(ticks)])
        axes.minorticks_off()
        axes.set_xlabel("Labelled subjects")
        axes.set_ylabel("3D Dice, test")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    return draw("labelled", "Dice against labelled subjects", drawing)


def mask_figure(results: Results) -> Markup | None:
    """Draw the validation Dice of experiment 2 as a heat map: share masked × squares."""
    cells = mask_grid(results)
    known = [value for value in cells.values() if value is not None]
    if not known:
        return None
    percents = sorted({percent for percent, _ in cells})
    kernels = sorted({kernel for _, kernel in cells})
    values = np.array([[cells.get((p, k)) for p in percents] for k in kernels], dtype=float)

    def drawing(axes: Axes) -> None:
        low, high = min(known), max(known)
        axes.grid(visible=False)
        axes.imshow(values, cmap="viridis", vmin=low, vmax=max(high, low + 1e-6), aspect="auto")
        for y, x in np.ndindex(values.shape):
            if not np.isnan(values[y, x]):
                bright = (values[y, x] - low) / max(high - low, 1e-6) > 0.6
                axes.text(
                    x,
                    y,
                    f"{values[y, x]:.3f}",
                    ha="center",
                    va="center",
                    color="black" if bright else "white",
                )
        axes.set_xticks(range(len(percents)), [f"{percent:g}" for percent in percents])
        axes.set_yticks(range(len(kernels)), [str(kernel) for kernel in kernels])
        axes.set_xlabel("Masked, %")
        axes.set_ylabel("K, pixels")

    size = 1.8 + 0.8 * len(percents), 1.0 + 0.5 * len(kernels)
    return draw("masks", "Validation Dice by share masked and size of squares", drawing, size)


def _names(axes: Axes, names: list[str] | tuple[str, ...]) -> None:
    """Put names to the left of the lines, the first one on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
