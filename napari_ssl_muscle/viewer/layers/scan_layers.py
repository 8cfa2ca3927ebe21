"""Scans and label maps as napari layers, and what a layer knows about where it came from.

Everything that the plugin needs to know of a layer travels with it, as a `LayerInfo` under
``layer.metadata["ssl_muscle"]``. Layers are held and compared as objects; their names are for
people and are never looked up.

napari cannot slice an oblique affine, so layers show the canonical axial axes (z, y, x) with a
diagonal scale in millimetres. The true affine stays in the `Geometry` and is what gets written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

    from napari_ssl_muscle.evaluation.provenance import Provenance
    from napari_ssl_muscle.scans.geometry import Geometry
    from napari_ssl_muscle.scans.muscles import MuscleTable
    from napari_ssl_muscle.scans.volume import Scan

KEY = "ssl_muscle"
"""The key of `LayerInfo` in a layer's metadata."""

Role = Literal["image", "truth", "prediction", "uncertainty"]
LayerData = tuple[np.ndarray, dict[str, Any], str]

GROUND_TRUTH = "Ground truth"
PREDICTION = "Prediction"
UNCERTAINTY = "Uncertainty"
_WORDS: dict[Role, str] = {
    "truth": GROUND_TRUTH,
    "prediction": PREDICTION,
    "uncertainty": UNCERTAINTY,
}
_KINDS: dict[Role, str] = {
    "image": "image",
    "truth": "labels",
    "prediction": "labels",
    "uncertainty": "image",
}
"""napari's type of layer for each role."""
_UNKNOWN_COLOUR = (0.62, 0.62, 0.62, 1.0)
"""Label values that no muscle has are grey, so that they are seen."""


@dataclass(eq=False)
class OpenScan:
    """One opened scan: what its image, ground truth and prediction have in common.

    Parameters
    ----------
    name
        What people see: "sub-01_ses-02", or the file's name; with a folder's before it where
        another open scan has the same (`layer_rules`).
    geometry
        Shape and affine as stored, from which every label map is written.
    file
        Its file; None for a sample that lives in memory only.
    table
        Muscle names that came with the scan (its cohort's or ground truth's), if any did.
    corner
        Where voxel (0, 0, 0) is shown, in mm; by default where the geometry says.
    """

    name: str
    geometry: Geometry
    file: Scan | None = None
    table: MuscleTable | None = None
    corner: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        self.own_name = self.name
        """What it is called by itself, whatever else is open: drafts are found by it again."""

    @property
    def placement(self) -> dict[str, Any]:
        """The layer arguments that put an array (z, y, x) in its place, in millimetres."""
        return {
            "scale": self.geometry.spacing,
            "translate": self.corner or self.geometry.origin,
            "units": "mm",
            "axis_labels": ("z", "y", "x"),
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> OpenScan:
        # A duplicated layer still belongs to the same scan.
        return self


@dataclass(eq=False)
class LayerInfo:
    """What a layer is: its role, its scan, the muscles of its labels and its file.

    Parameters
    ----------
    role
        "image", "truth" (ground truth, read-only), "prediction", or "uncertainty" (a picture of
        where the model was unsure of its prediction).
    scan
        Shared by all of its layers.
    table
        The muscles that the label values stand for; None for images and unnamed labels.
    path
        The file that was read, or the one that the labels were last saved to.
    channel
        The channel's name, for images of a cohort with several.
    provenance
        The model that made the labels, if one did.
    own_name, given_name
        An image's name by itself, and the layer's name as it was last set here.
    volume
        Which volume of the file, of several.
    """

    role: Role
    scan: OpenScan
    table: MuscleTable | None = None
    path: Path | None = None
    channel: str | None = None
    provenance: Provenance | None = None
    own_name: str | None = None
    given_name: str | None = None
    volume: int | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> LayerInfo:
        # A duplicate is a layer of its own: its muscle table can change by itself.
        return replace(self)


def name_of_role(role: Role) -> str | None:
    """Return what a layer of this role is called; None for images, which bear the scan's name."""
    return _WORDS.get(role)


def image_data(
    scan: OpenScan,
    image: np.ndarray,
    *,
    name: str,
    path: Path | None,
    channel: str | None = None,
    volume: int | None = None,
) -> LayerData:
    """Return a scan's image as napari layer data.

    Parameters
    ----------
    scan
        Whom it belongs to.
    image
        Canonical (z, y, x) float32.
    name
        The layer's name: that of the scan.
    path, channel, volume
        See `LayerInfo`.
    """
    info = LayerInfo("image", scan, path=path, channel=channel, volume=volume)
    return (
        image,
        {
            "name": name,
            "metadata": {KEY: info},
            "contrast_limits": contrast_limits(image),
            "colormap": "gray",
            **scan.placement,
        },
        "image",
    )


def label_data(
    scan: OpenScan,
    role: Literal["truth", "prediction"],
    labels: np.ndarray | None = None,
    *,
    table: MuscleTable | None = None,
    path: Path | None = None,
    name: str | None = None,
) -> LayerData:
    """Return labels of a scan as napari layer data; without an array, empty labels.

    Parameters
    ----------
    scan
        Whom they belong to.
    role
        Ground truth or prediction.
    labels
        Label values, canonical (z, y, x), of any whole-number type.
    table
        What the values stand for.
    path
        The file that they were read from.
    name
        The layer's name; by default that of its role.
    """
    if labels is None:
        labels = np.zeros(scan.geometry.canonical_shape, np.uint8)
    meta: dict[str, Any] = {
        "name": name or _WORDS[role],
        "metadata": {KEY: LayerInfo(role, scan, table=table, path=path)},
        "opacity": 0.5,
        **scan.placement,
        **_appearance(table),
    }
    return to_small_type(labels), meta, "labels"


def to_small_type(labels: np.ndarray) -> np.ndarray:
    """Return the labels as uint8 or, where values above 255 need it, as uint16 or int32."""
    top = int(labels.max(initial=0))
    kind = np.uint8 if top < 2**8 else np.uint16 if top < 2**16 else np.int32
    return np.ascontiguousarray(labels, dtype=kind)


def contrast_limits(image: np.ndarray) -> tuple[float, float]:
    """Return display limits from the 1st to the 99.7th percentile of a sample of voxels."""
    step = max(1, image.size // 200_000)
    low, high = np.percentile(image.reshape(-1)[::step], (1, 99.7))
    if not high > low:
        low, high = float(image.min()), float(image.max())
    return float(low), float(high) if high > low else float(low) + 1.0


def show_table(layer: Labels, table: MuscleTable) -> None:
    """Give a labels layer the names (status bar) and colours of a muscle table."""
    look = _appearance(table)
    layer.features = look["features"]
    layer.colormap = look["colormap"]
    info = info_of(layer)
    if info is not None:
        info.table = table


def _appearance(table: MuscleTable | None) -> dict[str, Any]:
    if table is None:
        return {}
    import pandas as pd
    from napari.utils.colormaps import DirectLabelColormap

    colours: dict[Any, Any] = {None: _UNKNOWN_COLOUR, 0: (0.0,) * 4, **table.colours()}
    return {
        "features": pd.DataFrame(
            {"index": [0, *table.values], "muscle": ["background", *table.names]}
        ),
        "colormap": DirectLabelColormap(color_dict=colours),
    }


def info_of(layer: Layer) -> LayerInfo | None:
    """Return what the plugin knows of a layer; None for layers that came another way.

    napari copies the metadata when it makes a layer out of another one: what was split, projected,
    merged or converted is not what the metadata says any more.
    """
    info = layer.metadata.get(KEY)
    info = getattr(info, "__wrapped__", info)
    if not isinstance(info, LayerInfo):
        return None
    if unwrap(layer)._type_string != _KINDS[info.role]:
        return None
    if info.role == "image" and not layer.multiscale:
        shape = tuple(np.shape(layer.data))
        if (1,) * (3 - len(shape)) + shape != tuple(info.scan.geometry.canonical_shape):
            return None
    return info


def layers_of(viewer: Any, scan: OpenScan, role: Role) -> list[Any]:
    """Return the scan's layers of one role that are in the viewer, topmost first."""
    return [layer for layer in unwrap(viewer).layers if has_role(layer, scan, role)][::-1]


def has_role(layer: Layer, scan: OpenScan, role: Role) -> bool:
    """Whether a layer belongs to a scan, and plays this role in it."""
    info = info_of(layer)
    return info is not None and info.scan is scan and info.role == role


def ensure_info(layer: Image) -> LayerInfo:
    """Return an image layer's info; one that was opened another way becomes an open scan now.

    Its orientation is unknown: the axes are taken as they are shown, and what is left and right
    of the patient stays open.
    """
    info = info_of(layer)
    if info is None:
        geometry = plain_geometry(np.shape(layer.data), layer.scale, layer.units)
        corner = tuple(float(v) for v in layer.translate)
        scan = OpenScan(layer.name, geometry, corner=(0.0,) * (3 - len(corner)) + corner)
        info = LayerInfo("image", scan)
        layer.metadata[KEY] = info
    return info


def plain_geometry(
    shape: Sequence[int], scale: Sequence[float], units: Sequence[Any] | None = None
) -> Geometry:
    """Return the geometry of an array of which at most the voxel size is known.

    Parameters
    ----------
    shape, scale
        For the axes (z, y, x) or (y, x) of the array, in voxels and millimetres.
    units
        Of the scale, as napari has them. A scale of 1 pixel says nothing about the voxel size.

    Returns
    -------
    Geometry
        Not oriented; a file that is saved with it opens as the same array again.
    """
    import nibabel as nib

    from napari_ssl_muscle.scans.geometry import Geometry

    missing = 3 - len(shape)
    stored = ((1,) * missing + tuple(int(n) for n in shape))[::-1]
    sizes = ((1.0,) * missing + tuple(float(abs(v)) or 1.0 for v in scale))[::-1]
    header: Any = nib.Nifti1Header
    header = header()
    header.set_data_shape(stored)
    header.set_zooms(sizes)
    pixels = all(str(unit) == "pixel" for unit in units or ("pixel",))
    known = not (pixels and set(sizes) == {1.0})
    header.set_xyzt_units("mm" if known else "unknown")
    return Geometry(
        stored, np.diag([*sizes, 1.0]), oriented=False, spacing_known=known, header=header
    )


def unwrap(thing: Any) -> Any:
    """Return the object behind the proxy that napari hands to plugins, so that `is` works."""
    return getattr(thing, "__wrapped__", thing)
