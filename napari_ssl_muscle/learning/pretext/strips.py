"""PNG files of picture strips: original, masked input, reconstruction and error of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.learning.pretext.comparison import ReconstructionComparison

PANEL = 1.6
"""Inches of one picture: six across fit a screen."""


def _grey_scale(original: NDArray[np.float32]) -> tuple[float, float]:
    """Return the intensities that are shown black and white; a few outliers may lie beyond."""
    low, high = np.percentile(original, [0.5, 99.5])
    return low, max(high, low + 1e-6)


def write_plain_strips(path: Path, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Write the pictures pixel by pixel and without text, which takes milliseconds.

    `write_strips` takes a second: too long for what is refreshed throughout a training.

    Parameters
    ----------
    path
        The file to write.
    arrays
        "original", "masked", "reconstruction" and "error", ``(n, rows, columns)``. All share one
        grey scale.
    """
    from matplotlib.image import imsave

    low, high = _grey_scale(arrays["original"])
    columns = [
        *((arrays[name] - low) / (high - low) for name in ("original", "masked", "reconstruction")),
        arrays["error"] / (high - low),
    ]
    picture = np.clip(np.concatenate(columns, axis=2), 0, 1)
    imsave(path, np.vstack(list(picture)), cmap="gray", vmin=0, vmax=1, format="png")


def write_strips(
    path: Path,
    comparisons: Sequence[ReconstructionComparison],
    titles: Sequence[Sequence[str]],
    names: Sequence[str],
) -> None:
    """Draw original | masked | reconstructions | absolute errors, one row for each image, as PNG.

    All pictures of a row share one grey scale, and all its errors another that spans half of it.

    Parameters
    ----------
    path
        The file to write.
    comparisons
        One or several scans.
    titles
        What each image of each comparison is called.
    names
        What the runs are called.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = sum(len(comparison.original) for comparison in comparisons)
    heads = ["original", "masked", *names, *(f"error of {name}" for name in names)]
    figure = Figure(figsize=(PANEL * len(heads), (PANEL + 0.15) * count + 0.3))
    FigureCanvasAgg(figure)
    axes = figure.subplots(count, len(heads), squeeze=False)
    row = 0
    for comparison, rows in zip(comparisons, titles, strict=True):
        for index, title in enumerate(rows):
            low, high = _grey_scale(comparison.original[index])
            shown = [comparison.original[index], comparison.masked[index]]
            shown += [run.images[index] for run in comparison.runs]
            errors = [run.errors[index] for run in comparison.runs]
            for column, picture in enumerate([*shown, *errors]):
                panel = axes[row, column]
                is_error = column >= len(shown)
                panel.imshow(
                    picture,
                    cmap="magma" if is_error else "gray",
                    vmin=0 if is_error else low,
                    vmax=(high - low) / 2 if is_error else high,
                    interpolation="nearest",
                )
                panel.set_xticks([])
                panel.set_yticks([])
                if row == 0:
                    panel.set_title(heads[column], fontsize=7)
                if is_error:
                    run = comparison.runs[column - len(shown)]
                    panel.set_xlabel(f"inside: {run.masked_error[index]:.3f}", fontsize=6)
            axes[row, 0].set_xlabel(title, fontsize=6, loc="left")
            row += 1
    figure.tight_layout(pad=0.4)
    # Without the metadata that names versions: the same pictures give the same file.
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
