"""Where new labels differ from those of a layer, and writing that as one undo step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ssl_muscle.viewer.layers.scan_layers import info_of

if TYPE_CHECKING:
    from napari.layers import Labels


@dataclass(frozen=True, eq=False)
class Changes:
    """The voxels in which new labels differ: what one undo step holds.

    Parameters
    ----------
    where
        Index arrays, one for each axis (z, y, x); of int32, which is half of what `numpy.nonzero`
        gives: they stay in the undo history.
    values
        The new label values there.
    """

    where: tuple[np.ndarray, ...]
    values: np.ndarray


def find_changes(old: np.ndarray, new: np.ndarray) -> Changes:
    """Return where `new` differs from `old` and its values there; meant for a worker thread.

    Parameters
    ----------
    old, new
        Label arrays of one shape.
    """
    where = np.nonzero(old != new)
    values = new[where].astype(old.dtype)
    return Changes(tuple(axis.astype(np.int32) for axis in where), values)


def apply_changes(layer: Labels, changes: Changes) -> None:
    """Write changes into a labels layer as one step of its undo history.

    Raises
    ------
    ValueError
        If the layer is ground truth: that is never written to.
    """
    info = info_of(layer)
    if info is not None and info.role == "truth":
        raise ValueError("ground truth is read-only")
    if not layer.visible:
        # napari does not keep the slice of a hidden layer up to date, but writes into it.
        layer.set_view_slice()
    layer.data_setitem(changes.where, changes.values)
