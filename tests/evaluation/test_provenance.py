"""Where figures come from."""

import numpy as np
import torch

from napari_ssl_muscle.evaluation.provenance import versions


def test_versions_name_this_program() -> None:
    found = versions()
    assert found["torch"] == torch.__version__
    assert found["numpy"] == np.__version__
    assert "napari-ssl-muscle" in found
