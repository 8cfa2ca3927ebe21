"""The curves of trainings that keep different parts fixed, in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ssl_muscle.jobs.text import FREEZE_TITLES
from napari_ssl_muscle.learning.events import EpochEnd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOK: dict[str, tuple[str, str]] = {
    "none": ("#56B4E9", "-"),
    "encoder": ("#E69F00", "--"),
    "decoder": ("#009E73", "-."),
    "both": ("#CC79A7", ":"),
}
"""Freeze mode → colour (Okabe and Ito's, colour-blind safe) and kind of line."""

Curves = Mapping[str, Sequence[EpochEnd]]
"""Freeze mode → the epochs of its training, in order."""


def draw_curves(figure: Figure, curves: Curves) -> None:
    """Draw validation Dice and training loss over steps, one line for each freeze mode.

    Parameters
    ----------
    figure
        An empty one, in any style.
    curves
        Modes without an epoch yet are left out.
    """
    dice, loss = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for mode, (colour, line) in LOOK.items():
        epochs = curves.get(mode, ())
        for axes, metric in ((dice, "dice"), (loss, "train_loss")):
            points = [(e.step, e.metrics[metric]) for e in epochs if metric in e.metrics]
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    color=colour,
                    linestyle=line,
                    # A single epoch would draw no line at all.
                    marker="o",
                    markersize=2.5,
                    linewidth=1.6,
                    label=FREEZE_TITLES[mode] if axes is dice else None,
                )
    dice.set_ylabel("Validation Dice")
    loss.set_ylabel("Training loss")
    loss.set_xlabel("Step")
    if dice.get_lines():
        figure.legend(loc="outside upper center", ncols=2)


def write_curves(path: Path, curves: Curves) -> None:
    """Write the figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    draw_curves(figure, curves)
    # Without the metadata that names versions: the same curves give the same file.
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})
