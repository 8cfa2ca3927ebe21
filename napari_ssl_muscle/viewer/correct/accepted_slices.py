"""Accepted slices keep their labels through undo and redo, and count again as they were accepted.

napari's history knows nothing of slices: an undo may change one that is accepted, or not even
shown. Only the brush, another tool or "take it back" ends an acceptance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.study.slice_states import ACCEPTED, SliceState


class AcceptedSlices:
    """The labels of slices that were accepted until somebody drew on them."""

    def __init__(self) -> None:
        self._drawn_on: dict[int, tuple[SliceState, npt.NDArray[Any]]] = {}

    def put_back(
        self,
        layer: Any,
        known: npt.NDArray[Any],
        planes: Iterable[int],
        states: Mapping[int, SliceState],
    ) -> list[int]:
        """Undo an undo in accepted slices: give them their labels again, and return which.

        Parameters
        ----------
        layer
            The labels layer.
        known
            Its labels before the undo.
        planes
            Slices that changed since.
        states
            z → state.
        """
        kept = [z for z in planes if states.get(z) in ACCEPTED]
        if kept:
            layer.data[kept] = known[kept]
            layer.refresh()
        return kept

    def drawn_on(
        self, planes: Iterable[int], known: npt.NDArray[Any], states: Mapping[int, SliceState]
    ) -> None:
        """Remember the accepted ones of slices that are about to be known as changed."""
        for z in planes:
            state = states.get(z)
            if state in ACCEPTED and z not in self._drawn_on:
                self._drawn_on[z] = (state, known[z].copy())

    def accepted_again(
        self, planes: Iterable[int], data: npt.NDArray[Any]
    ) -> dict[int, SliceState]:
        """Return the states of those slices that look again as they were accepted."""
        found: dict[int, SliceState] = {}
        for z in planes:
            before = self._drawn_on.get(z)
            if before is not None and np.array_equal(before[1], data[z]):
                found[z] = before[0]
                del self._drawn_on[z]
        return found

    def forget(self, z: int) -> None:
        """Take note that a person has decided anew about a slice."""
        self._drawn_on.pop(z, None)
