from __future__ import annotations

import pytest

from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomScan, PhantomSettings

SETTINGS = PhantomSettings(slices=5, size=96, seed=2)


@pytest.fixture(scope="session")
def thigh() -> PhantomScan:
    """Two legs, six labelled muscles."""
    return phantom_scan(1, 1, SETTINGS)
