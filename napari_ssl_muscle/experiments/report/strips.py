"""Picture strips: what a pretraining restored, and what the final models predicted."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.experiments.published.files import EXAMPLES
from napari_ssl_muscle.experiments.published.trial import arm_title
from napari_ssl_muscle.experiments.report.results import Results
from napari_ssl_muscle.experiments.report.tables import FINAL
from napari_ssl_muscle.jobs.run_folder import PROBES
from napari_ssl_muscle.scans.muscles import Muscle

Picture = NDArray[np.uint8]

OPACITY = 0.65
"""Of muscles over the image."""

ROWS = 4
"""Pictures of a start at most."""


@dataclass(frozen=True)
class StripRow:
    """A line of a strip: who and what, and its pictures as data URIs."""

    title: str
    pictures: tuple[str, ...]
    aspect: float
    """Width of a picture by its height, in millimetres."""


@dataclass(frozen=True)
class Strip:
    """Pictures under headings."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[StripRow, ...]
    legend: tuple[tuple[str, str], ...] = ()
    """Muscle and its colour in CSS."""


def pretext_strip(results: Results) -> Strip:
    """Return input, label and output of the pretrainings behind the final models, from probes."""
    rows = []
    for arm in results.arms(FINAL):
        trials = results.finetunings(FINAL, arm)
        pretraining = results.pretraining_of(trials[0]) if trials else None
        path = results.run_folder(pretraining) / PROBES if pretraining else None
        if path is None or not path.is_file():
            continue
        with np.load(path) as arrays:
            original, masked, restored = (
                arrays[name] for name in ("original", "masked", "reconstruction")
            )
        middle = len(original) // 2
        for index in sorted({max(middle - 1, 0), middle}):
            low, high = grey_range(original[index])
            images = (masked[index], original[index], restored[index])
            pictures = tuple(png(grey(image, low, high)) for image in images)
            height, width = original[index].shape
            rows.append(StripRow(arm_title(arm), pictures, width / height))
    return Strip("Pretext task", ("Input", "Label", "Output"), tuple(rows))


def downstream_strip(results: Results) -> Strip:
    """Return input, ground truth and prediction of the final models on test subjects."""
    rows = []
    colours = muscle_colours(results.muscles)
    for arm in results.arms(FINAL):
        shown = 0
        first = min((t.seed for t in results.finetunings(FINAL, arm)), default=0)
        for trial in results.finetunings(FINAL, arm):
            path = results.run_folder(trial) / EXAMPLES.format(part="test")
            if trial.seed != first or shown >= ROWS or not path.is_file():
                continue
            dice = {
                score.subject: f": 3D Dice {score.value:.3f}"
                for score in results.scores([trial], "test")
            }
            with np.load(path) as arrays:
                for index, subject in enumerate(arrays["subjects"][: ROWS - shown]):
                    image, reference, predicted = (
                        arrays[f"{name}_{index}"] for name in ("image", "reference", "predicted")
                    )
                    background = grey(image, *grey_range(image))
                    pictures = (
                        background,
                        coloured(background, reference, colours),
                        coloured(background, predicted, colours),
                    )
                    mm_row, mm_column = arrays["spacing"][index]
                    rows.append(
                        StripRow(
                            f"{arm_title(arm)}, {subject}{dice.get(str(subject), '')}",
                            tuple(png(picture) for picture in pictures),
                            image.shape[1] * mm_column / (image.shape[0] * mm_row),
                        )
                    )
                    shown += 1
    legend = tuple((name, f"rgb{colour}") for name, colour in colours.items())
    headings = "Input", "Label: ground truth", "Output: predicted"
    return Strip("Segmentation of test subjects", headings, tuple(rows), legend)


def muscle_colours(muscles: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Return muscle → the colour in which the window shows it."""
    return {
        name: Muscle(value=value, name=name).shown_colour for value, name in enumerate(muscles, 1)
    }


def grey_range(image: NDArray[np.floating]) -> tuple[float, float]:
    """Return what is shown black and white; a few outliers may lie beyond."""
    low, high = np.percentile(image, [0.5, 99.5])
    return float(low), float(max(high, low + 1e-6))


def grey(image: NDArray[np.floating], low: float, high: float) -> Picture:
    """Return an image (y, x) as grey picture (y, x, 3)."""
    values = np.clip((image.astype(np.float64) - low) / (high - low), 0, 1)
    return np.repeat((values * 255).round().astype(np.uint8)[..., None], 3, axis=2)


def coloured(
    background: Picture, labels: NDArray[np.integer], colours: Mapping[str, tuple[int, int, int]]
) -> Picture:
    """Return a picture with the muscles in colour over it; class k is the k-th colour."""
    palette = np.array([(0, 0, 0), *colours.values()], dtype=np.float64)
    over = palette[labels]
    mixed = (1 - OPACITY) * background + OPACITY * over
    return np.where((labels > 0)[..., None], mixed.round(), background).astype(np.uint8)


def png(picture: Picture) -> str:
    """Return a picture as a data URI."""
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, picture, format="png", metadata={"Software": ""})
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
