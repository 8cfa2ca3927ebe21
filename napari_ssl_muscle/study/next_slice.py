"""Which slice to correct next: where the model is least sure, spread along the leg."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

REACH_MM = 40.0
"""Distance over which one corrected slice speaks for its neighbours too; about the length over
which the outline of a thigh muscle changes its shape. Our choice, not measured."""

_FLOOR = 0.02
"""Doubt that every slice deserves: a model that finds no muscle at all counts as fully sure."""


def suggest_slices(
    confidence: npt.ArrayLike,
    dz: float,
    *,
    done: Collection[int] = (),
    count: int | None = None,
    reach_mm: float = REACH_MM,
) -> list[int]:
    """Order the slices that are still to be corrected.

    Greedy: the next slice is the one with the largest doubt (1 − confidence), weighted by its
    distance to the nearest slice that is done or was suggested before it, up to `reach_mm`.

    Parameters
    ----------
    confidence
        Per slice ``(z,)``, from 0 to 1, as in `Segmentation.confidence`.
    dz
        Distance of neighbouring slices in mm.
    done
        Slices that are never suggested: accepted ones, and those held out.
    count
        None returns all that are left.
    reach_mm
        Distance from which a done slice has no influence any more.

    Returns
    -------
    list of int
        The best one first; equal ones from inferior to superior. The same input always gives the
        same order.
    """
    sure = np.asarray(confidence, dtype=np.float64)
    doubt = np.clip(1 - np.where(np.isfinite(sure), sure, 0.0), 0, 1) + _FLOOR
    places = np.arange(len(doubt))
    open_ = ~np.isin(places, list(done))
    distance = np.full(len(doubt), np.inf)
    for z in done:
        distance = np.minimum(distance, np.abs(places - z) * dz)
    found: list[int] = []
    wanted = int(open_.sum()) if count is None else min(count, int(open_.sum()))
    while len(found) < wanted:
        score = np.where(open_, doubt * np.minimum(1.0, distance / reach_mm), -1.0)
        best = int(np.argmax(score))
        found.append(best)
        open_[best] = False
        distance = np.minimum(distance, np.abs(places - best) * dz)
    return found
