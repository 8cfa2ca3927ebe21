"""Whether a layer lies where its scan does: what is saved are the scan's voxels, wherever shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.viewer.layers.scan_layers import info_of

_MOVES = ("scale", "translate", "rotate", "shear", "affine")
"""Properties of a layer, and names of its events, that change its place."""


def is_moved(layer: Any) -> bool:
    """Whether a layer of a scan was moved, turned or scaled in napari.

    False for layers of no scan, and of scans that came from another reader: their place is what
    they were opened with.
    """
    info = info_of(layer)
    if info is None or info.scan.corner is not None:
        return False
    placement = info.scan.placement
    axes = layer.ndim
    scale, corner = (np.asarray(placement[name], float)[-axes:] for name in ("scale", "translate"))
    # A thousandth of a voxel: matrices are composed in floating point.
    close = np.allclose(layer.data_to_world((0,) * axes), corner, rtol=0, atol=1e-3 * scale.min())
    for axis, step in enumerate(np.eye(axes)):
        shown = np.asarray(layer.data_to_world(tuple(step))) - layer.data_to_world((0,) * axes)
        close = close and np.allclose(shown, step * scale[axis], rtol=0, atol=1e-3 * scale.min())
    return not close


def require_in_place(layers: Iterable[Any]) -> None:
    """Refuse to go on with layers that were moved.

    Raises
    ------
    BadInput
        If one was.
    """
    for layer in layers:
        if is_moved(layer):
            raise BadInput(moved_sentence(layer.name))


def moved_sentence(name: str) -> str:
    """Return what is said of a layer that was moved."""
    return (
        f"The layer '{name}' was moved, turned or scaled in napari. Its labels belong to the "
        "scan's own voxels, not to where it is shown now: what is drawn meanwhile lands elsewhere "
        "than it looks. Press 'Put it back' under 'Correct'."
    )


def was_moved(meta: Mapping[str, Any], placement: Mapping[str, Any]) -> bool:
    """Whether a layer's state, as napari hands it to writers, differs from its scan's place."""
    axes = len(meta["scale"]) if "scale" in meta else 3
    plain: dict[str, Any] = {
        "scale": np.asarray(placement["scale"], float)[-axes:],
        "translate": np.asarray(placement["translate"], float)[-axes:],
        "rotate": np.eye(axes),
        "shear": np.zeros(axes * (axes - 1) // 2),
        "affine": np.eye(axes + 1),
    }
    for name, expected in plain.items():
        value = np.asarray(meta.get(name, expected), float)
        if value.shape != expected.shape or not np.allclose(value, expected, atol=1e-4):
            return True
    return False


def put_back(layer: Any) -> None:
    """Show a layer where its scan lies."""
    info = info_of(layer)
    if info is None:
        return
    axes = layer.ndim
    layer.affine = np.eye(axes + 1)
    layer.rotate = np.eye(axes)
    layer.shear = np.zeros(axes * (axes - 1) // 2)
    layer.scale = tuple(info.scan.placement["scale"])[-axes:]
    layer.translate = tuple(info.scan.placement["translate"])[-axes:]


def listen_to_moves(layer: Any, act: Any) -> list[tuple[Any, Any]]:
    """Call something when a layer is moved; return the pairs (signal, act) to disconnect."""
    signals = [getattr(layer.events, name) for name in _MOVES]
    for signal in signals:
        signal.connect(act)
    return [(signal, act) for signal in signals]
