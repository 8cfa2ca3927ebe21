"""What a pretraining makes of its probe slices, as layers that are refreshed while it learns."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from napari_ssl_muscle.viewer.train.picture_grid import PictureGrid, inside_masks

PICTURES = {
    "original": "Original",
    "masked": "Masked input",
    "reconstruction": "Reconstruction",
    "error": "Absolute error",
}
"""Array in the probes' file → layer's name, from the top left row by row."""


class ProbeLayers(PictureGrid):
    """The four layers of one pretraining after another.

    A layer that the user removes stays away until the next pretraining. `begun` says whether the
    current one has shown pictures.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer)
        self.begun = False

    def begin(self) -> None:
        """Prepare for another pretraining: its first pictures bring missing layers back."""
        self.begun = False

    def show(self, path: Path, pixel: float, *, masked_only: bool = False) -> bool:
        """Show or refresh the pictures in a probes' file.

        Parameters
        ----------
        path
            Holds "original", "masked", "reconstruction" and "error", ``(n, rows, columns)``.
        pixel
            Size of a pixel in mm.
        masked_only
            Show reconstruction and error as `inside_masks` does.

        Returns
        -------
        bool
            Whether it could be read; the run may just be replacing it.
        """
        try:
            with np.load(io.BytesIO(path.read_bytes())) as file:
                arrays = {name: file[name] for name in PICTURES}
        except (OSError, ValueError, KeyError, EOFError):
            return False
        if masked_only:
            holes = arrays["masked"] != arrays["original"]
            arrays["reconstruction"], arrays["error"] = inside_masks(
                holes, arrays["original"], arrays["reconstruction"], arrays["error"]
            )
        pictures = {title: arrays[name] for name, title in PICTURES.items()}
        if self.begun:
            for title, layer in self.present.items():
                layer.data = pictures[title]
            return True
        self.begun = True
        place = self._placement(arrays["original"].shape, pixel)
        self.show_pictures(pictures, {PICTURES["error"]}, place, (2, 2))
        axis = self._viewer.dims.ndim - 3
        middle = place["translate"][0] + place["scale"][0] * (len(arrays["original"]) // 2)
        self._viewer.dims.set_point(axis, middle)
        return True

    def _placement(self, shape: tuple[int, ...], pixel: float) -> dict[str, Any]:
        """Return where the pictures go: centred on what is open, so that one slider serves all.

        The probe slices share the range of the open scans' slices among them; otherwise most of
        the slider would show nothing.
        """
        others = [
            layer
            for layer in self._viewer.layers
            if layer.ndim >= 3 and not any(layer is mine for mine in self._layers.values())
        ]
        scale = [pixel] * 3
        middle = [0.0] * 3
        if others:
            extent = self._viewer.layers.get_extent(others)
            low, high = extent.world[0][-3:], extent.world[1][-3:]
            middle = [float(v) for v in (low + high) / 2]
            scale[0] = float(high[0] - low[0] + extent.step[-3]) / shape[0]
        corner = [m - s * (n - 1) / 2 for m, s, n in zip(middle, scale, shape, strict=True)]
        return {
            "scale": scale,
            "translate": corner,
            "units": "mm",
            "axis_labels": ("z", "y", "x"),
        }
