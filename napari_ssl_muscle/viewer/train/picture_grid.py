"""Images, their reconstructions and the errors of these, side by side in napari's grid."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from napari_ssl_muscle.viewer.layers.grid import GridView, picture, remove_layers


def inside_masks(
    holes: np.ndarray, original: np.ndarray, restored: np.ndarray, error: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a reconstruction and its error inside the masks, the original and 0 elsewhere.

    A network that is not scored on visible pixels gives anything there.
    """
    return np.where(holes, restored, original), error * holes


class PictureGrid:
    """Layers that show results, replaced all at once."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.grid = GridView(viewer)
        self._layers: dict[str, Any] = {}

    @property
    def present(self) -> dict[str, Any]:
        """Layers by their first names, without those that the user removed."""
        return {n: layer for n, layer in self._layers.items() if layer in self._viewer.layers}

    def show_pictures(
        self,
        pictures: Mapping[str, np.ndarray],
        errors: Collection[str],
        place: Mapping[str, Any],
        shape: tuple[int, int],
    ) -> None:
        """Replace the layers and enter the grid.

        Parameters
        ----------
        pictures
            Layer name → images ``(z, rows, columns)``; the contrast is that of the first one.
        errors
            Names of those that are absolute errors; their contrast is linked by itself.
        place
            Scale, translation, units and axes of the layers.
        shape
            Rows and columns of the grid.
        """
        remove_layers(self._viewer, self._layers.values())
        low, high = (float(v) for v in np.percentile(next(iter(pictures.values())), (0.5, 99.5)))
        high = max(high, low + 1e-3)
        self._layers = {
            name: self._viewer.add_image(
                images,
                name=name,
                contrast_limits=(0, (high - low) / 2) if name in errors else (low, high),
                colormap="magma" if name in errors else "gray",
                metadata=picture(),
                **place,
            )
            for name, images in pictures.items()
        }
        for layer in self._layers.values():
            layer.name_overlay.visible = True
        for kind in (False, True):
            alike = [layer for name, layer in self._layers.items() if (name in errors) is kind]
            self._viewer.layers.link_layers(alike, ("contrast_limits",))
        self.grid.enter(list(self._layers.values()), shape)
