"""Layers side by side in napari's grid, with the user's own layers out of the way meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

GAP = 4.0
"""Pixels between neighbours in the grid."""
_WIDE = 1.3

_MARK = "ssl_muscle_picture"


def picture() -> dict[str, Any]:
    """Return the metadata of a layer that shows a result and is no scan to work on."""
    return {_MARK: True}


def is_picture(layer: Any) -> bool:
    """Whether a layer was made with `picture`."""
    return bool(layer.metadata.get(_MARK))


def remove_layers(viewer: Any, layers: Iterable[Any]) -> None:
    """Remove those layers that are in the viewer; None stands for no layer."""
    for layer in layers:
        if layer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)


def is_wide(height: float, width: float) -> bool:
    """Whether pictures of this size (mm) go below each other rather than beside each other."""
    return width > _WIDE * height


class GridView:
    """Shows some layers side by side, and goes back to what was shown before.

    All layers share the viewer's sliders and camera, so that they stay on the same slice. A viewer
    has one at a time: the one before leaves, or each would restore what the other has set.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._shown: list[Any] = []
        self._hidden: list[Any] = []
        self._before: tuple[bool, tuple[int, int], int, float] | None = None
        self._active: Any = None

    @property
    def active(self) -> bool:
        """Whether the layers are side by side now."""
        return self._before is not None and bool(self._viewer.canvas.grid.enabled)

    def enter(self, layers: Sequence[Any], shape: tuple[int, int], *, stacked: int = 1) -> None:
        """Show these layers in rows and columns, and hide all others.

        Parameters
        ----------
        layers
            The first one comes to the top left, then row by row. They are the last ones of the
            viewer's list; the first ones if several are stacked, because napari counts the stacks
            from the first one of all.
        shape
            Rows and columns.
        stacked
            How many layers lie on top of each other in each place.
        """
        grid = self._viewer.canvas.grid
        before = _entered.get(self._viewer.layers)
        if before is not None and before is not self:
            before.leave()
        _entered[self._viewer.layers] = self
        if self._before is None:
            self._before = (grid.enabled, grid.shape, grid.stride, grid.spacing)
            self._active = self._selected_of_others(layers)
        self._shown = list(layers)
        for layer in self._viewer.layers:
            if not any(layer is one for one in layers) and layer.visible:
                layer.visible = False
                self._hidden.append(layer)
        for layer in layers:
            layer.visible = True
        grid.stride, grid.shape, grid.spacing = stacked, shape, GAP
        grid.enabled = True
        self._viewer.reset_view(layers=layers)

    def leave(self) -> None:
        """Hide these layers and show again what was hidden for them and is still there."""
        if self._before is None:
            return
        if _entered.get(self._viewer.layers) is self:
            del _entered[self._viewer.layers]
        grid = self._viewer.canvas.grid
        grid.enabled, grid.shape, grid.stride, grid.spacing = self._before
        self._before = None
        for layers, visible in ((self._shown, False), (self._hidden, True)):
            for layer in layers:
                if layer in self._viewer.layers:
                    layer.visible = visible
        self._shown, self._hidden = [], []
        if self._active is not None and self._active in self._viewer.layers:
            self._viewer.layers.selection.active = self._active
        there = [layer for layer in self._viewer.layers if layer.visible]
        if there:
            self._viewer.reset_view(layers=there)

    def _selected_of_others(self, layers: Sequence[Any]) -> Any:
        """Return the layer to select again afterwards: the topmost shown one of the user's."""
        others = [
            layer
            for layer in self._viewer.layers
            if layer.visible and not any(layer is one for one in layers)
        ]
        return others[-1] if others else None


_entered: WeakKeyDictionary[Any, GridView] = WeakKeyDictionary()
"""Its list of layers → the one whose layers are side by side there."""
