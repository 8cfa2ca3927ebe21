"""Sample data: a small synthetic thigh scan with known muscles, made in a second or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ssl_muscle.viewer.layers.scan_layers import LayerData, OpenScan, image_data, label_data

if TYPE_CHECKING:
    from napari_ssl_muscle.phantom.settings import PhantomSettings

NAME = "Leg phantom"


def sample_settings() -> PhantomSettings:
    """Return what the sample is made with: both thighs, 24 slices.

    The seed differs from that of the default cohort, so that no shipped model has learned
    from the sample.
    """
    from napari_ssl_muscle.phantom.settings import PhantomSettings

    return PhantomSettings(slices=24, size=256, seed=2024)


def leg_phantom() -> list[LayerData]:
    """Return the sample's layers: image, ground truth, and an empty prediction."""
    import numpy as np

    from napari_ssl_muscle.phantom.scan import phantom_scan
    from napari_ssl_muscle.scans.geometry import Geometry
    from napari_ssl_muscle.scans.muscles import default_table
    from napari_ssl_muscle.viewer.session import begin_current_session

    phantom = phantom_scan(1, 1, sample_settings())
    # As a file of it would be stored: axes x, y, z.
    geometry = Geometry(phantom.image.shape[::-1], phantom.affine)
    table = default_table("thigh")
    scan = OpenScan(NAME, geometry, table=table)
    image = np.ascontiguousarray(geometry.to_canonical(phantom.image.transpose()))
    labels = np.ascontiguousarray(geometry.to_canonical(phantom.labels.transpose()))
    begin_current_session()
    return [
        image_data(scan, image, name=NAME, path=None),
        label_data(scan, "truth", labels, table=table),
        label_data(scan, "prediction", table=table),
    ]
