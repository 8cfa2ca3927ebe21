"""What a pretraining makes of its probe slices, as layers that are refreshed while it learns."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from napari_ssl_muscle.viewer.layers.grid import GridView, picture

PICTURES = {
    "original": "Original",
    "masked": "Masked input",
    "reconstruction": "Reconstruction",
    "error": "Absolute error",
}
"""Array in the probes' file → layer's name, from the top left row by row."""


class ProbeLayers:
    """The four layers of one pretraining after another.

    A layer that the user removes stays away until the next pretraining. `begun` says whether the
    current one has shown pictures.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.grid = GridView(viewer)
        self._layers: dict[str, Any] = {}
        self.begun = False

    def begin(self) -> None:
        """Prepare for another pretraining: its first pictures bring missing layers back."""
        self.begun = False

    @property
    def there(self) -> list[Any]:
        """The layers that are in the viewer."""
        return [layer for layer in self._layers.values() if layer in self._viewer.layers]

    def show(self, path: Path, pixel: float, *, masked_only: bool = False) -> bool:
        """Show or refresh the pictures in a probes' file.

        Parameters
        ----------
        path
            Holds "original", "masked", "reconstruction" and "error", ``(n, rows, columns)``.
        pixel
            Size of a pixel in mm.
        masked_only
            Show reconstruction and error inside the masks only, and the original elsewhere: a
            network that is not scored on visible pixels gives anything there.

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
            arrays["reconstruction"] = np.where(holes, arrays["reconstruction"], arrays["original"])
            arrays["error"] = arrays["error"] * holes
        if self.begun:
            for name, layer in self._layers.items():
                if layer in self._viewer.layers:
                    layer.data = arrays[name]
            return True
        self.begun = True
        self._start_anew(arrays, pixel)
        return True

    def _start_anew(self, arrays: dict[str, np.ndarray], pixel: float) -> None:
        """Make the layers of a new pretraining; those of the one before give way."""
        place = self._placement(arrays["original"].shape, pixel)
        for layer in self.there:
            self._viewer.layers.remove(layer)
        low, high = (float(v) for v in np.percentile(arrays["original"], (0.5, 99.5)))
        high = max(high, low + 1e-3)
        self._layers = {}
        for name, title in PICTURES.items():
            error = name == "error"
            self._layers[name] = self._viewer.add_image(
                arrays[name],
                name=title,
                contrast_limits=(0, (high - low) / 2) if error else (low, high),
                colormap="magma" if error else "gray",
                metadata=picture(),
                **place,
            )
        grey = [layer for name, layer in self._layers.items() if name != "error"]
        self._viewer.layers.link_layers(grey, ("contrast_limits",))
        self.grid.enter(self.there, (2, 2))
        axis = self._viewer.dims.ndim - 3
        middle = place["translate"][0] + place["scale"][0] * (len(arrays["original"]) // 2)
        self._viewer.dims.set_point(axis, middle)

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
