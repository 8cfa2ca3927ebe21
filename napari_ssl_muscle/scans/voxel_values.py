"""Voxel values as programs write them, made into what can be worked with, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput

NEARLY_WHOLE = 1e-3
"""A label value this near to a whole number is that number: programs that store labels as float
round them so, while interpolation of neighbouring labels leaves values all between."""

MOST_LABELS = 64
"""Whole numbers with more different values than this are taken for an image."""

_SCATTERED = 0.5
_PATCHY = 0.8  # share of neighbouring labelled voxels that have the same value, at the least


def finite_values(
    values: npt.NDArray[np.float32], path: Path
) -> tuple[npt.NDArray[np.float32], str | None]:
    """Take voxels without a finite value as background: the smallest finite value.

    Quantitative maps have NaN, or infinity from a division by zero, outside of what was fitted.

    Parameters
    ----------
    values
        Voxels `(z, y, x)`.
    path
        The file that they are of, for sentences.

    Returns
    -------
    The values, and a sentence if some were replaced.

    Raises
    ------
    BadInput
        If no voxel is finite, or those that are not are scattered: most others have one beside
        them, so that there is no body left to look at.
    """
    bad = ~np.isfinite(values)
    count = int(np.count_nonzero(bad))
    if count == 0:
        return values, None
    if count == values.size or _is_scattered(bad):
        raise BadInput(
            f"{path} holds {count} values that are not finite (NaN or infinite), "
            + ("which is all of them" if count == values.size else "scattered over the whole body")
            + "; replace them and save it again."
        )
    lowest = values[~bad].min()
    return np.where(bad, lowest, values), (
        f"{path.name} has {count} voxels without a finite value (NaN or infinite); "
        f"they are taken as background ({lowest:g})."
    )


def whole_values(stored: npt.NDArray[Any], path: Path) -> tuple[npt.NDArray[np.int32], str | None]:
    """Return label values as whole numbers, rounded where a program stored them inexactly.

    Parameters
    ----------
    stored
        Values of a label map.
    path
        The file that they are of, for sentences.

    Returns
    -------
    int32, C-contiguous, and a sentence if values were changed.

    Raises
    ------
    BadInput
        If values lie between whole numbers, or are negative or too large for a label.
    """
    notes = []
    if stored.dtype.kind == "f":
        missing = np.isnan(stored)
        if missing.any() and not missing.all():
            stored = np.where(missing, 0, stored)
            notes.append(
                f"{int(np.count_nonzero(missing))} voxels without a value (NaN) are taken as "
                "background"
            )
        whole = np.rint(stored)
        inexact = stored != whole
        with np.errstate(invalid="ignore"):  # infinity, which is refused below
            between = np.abs(stored - whole) > NEARLY_WHOLE
        if between.any() or missing.all():
            example = stored[between].flat[0] if between.any() else np.nan
            raise BadInput(
                f"{path} is no label map: {int(np.count_nonzero(between | np.isnan(stored)))} of "
                f"its voxels hold values that are no whole numbers ({example:g} for example); "
                "save the labels again, resampled to the nearest neighbour if at all."
            )
        if inexact.any():
            notes.append(
                f"{int(np.count_nonzero(inexact))} values such as "
                f"{float(stored[inexact].flat[0]):.7g} are rounded to whole numbers"
            )
        stored = whole
    if stored.min() < 0 or stored.max() > np.iinfo(np.int32).max:
        raise BadInput(
            f"{path} is no label map: its values go from {stored.min():g} to "
            f"{stored.max():g}; label values are 0 and above."
        )
    note = f"In {path.name} {' and '.join(notes)}." if notes else None
    return np.ascontiguousarray(stored, dtype=np.int32), note


def looks_like_labels(values: npt.NDArray[Any]) -> bool:
    """Whether an image holds nothing but patches of a few small whole numbers, from 0.

    In an image, even one of few grey levels, neighbouring voxels differ.
    """
    highest = values.max()
    if values.min() != 0 or not 0 < highest <= 255 or not np.array_equal(values, np.rint(values)):
        return False
    if np.count_nonzero(np.bincount(values.astype(np.uint8).ravel())) > MOST_LABELS:
        return False
    alike = []
    for axis in range(values.ndim):
        here, beside = np.moveaxis(values, axis, 0)[1:], np.moveaxis(values, axis, 0)[:-1]
        inside = (here > 0) & (beside > 0)
        if inside.any():
            alike.append(float((here == beside)[inside].mean()))
    return max(alike, default=0.0) > _PATCHY


def _is_scattered(bad: npt.NDArray[np.bool_]) -> bool:
    """Whether most good voxels have a bad one beside them in their slice."""
    beside = np.zeros_like(bad)
    beside[:, 1:] |= bad[:, :-1]
    beside[:, :-1] |= bad[:, 1:]
    beside[..., 1:] |= bad[..., :-1]
    beside[..., :-1] |= bad[..., 1:]
    good = ~bad
    return bool((beside & good).sum() > _SCATTERED * good.sum())
