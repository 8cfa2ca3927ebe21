"""The masks of a pretraining on an open scan, as a layer of labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ssl_muscle.learning.events import Emit, ShouldStop
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.torch_import import import_torch
from napari_ssl_muscle.viewer.layers.grid import picture
from napari_ssl_muscle.viewer.layers.scan_layers import OpenScan, unwrap

if TYPE_CHECKING:
    from napari_ssl_muscle.learning.pretext.mask_preview import ScanMasks

NAME = "Inpainting mask"
COLOUR = (1.0, 0.55, 0.1, 1.0)


@dataclass(frozen=True, eq=False)
class MaskRequest:
    """What to draw: a scan's image ``(z, y, x)`` or ``(y, x)``, whose it is, and the settings."""

    image: np.ndarray
    scan: OpenScan
    recipe: Recipe
    seed: int


def draw(request: MaskRequest, emit: Emit, stop: ShouldStop) -> ScanMasks:
    """Draw the masks; meant for a worker thread.

    Raises
    ------
    BadInput
        If the square is larger than the images.
    """
    import_torch()
    # Here, because it imports torch.
    from napari_ssl_muscle.learning.data.slices import lies_left
    from napari_ssl_muscle.learning.pretext.mask_preview import masks_on_scan

    geometry = request.scan.geometry
    image = volume(request.image)
    return masks_on_scan(
        image, geometry.spacing, request.recipe, seed=request.seed, left=lies_left(geometry)
    )


def volume(image: np.ndarray) -> np.ndarray:
    """Return an image as float32 ``(z, y, x)``."""
    image = np.asarray(image)
    return image.reshape((1,) * (3 - image.ndim) + image.shape).astype(np.float32, copy=False)


class MaskLayer:
    """The layer "Inpainting mask": one, which moves to whichever scan is previewed."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._scan: OpenScan | None = None

    def show(self, masks: np.ndarray, scan: OpenScan) -> None:
        """Show masks ``(z, y, x)`` over their scan."""
        layer = self._layer
        if layer is not None and layer in self._viewer.layers:
            if layer.data.shape == masks.shape and self._scan is scan:
                layer.data = masks
                layer.visible = True
                return
            self._viewer.layers.remove(layer)
        from napari.utils.colormaps import DirectLabelColormap

        self._scan = scan
        self._layer = unwrap(
            self._viewer.add_labels(
                masks,
                name=NAME,
                opacity=0.6,
                metadata=picture(),
                colormap=DirectLabelColormap(color_dict={None: COLOUR, 0: (0.0,) * 4, 1: COLOUR}),
                **scan.placement,
            )
        )
        self._layer.editable = False
