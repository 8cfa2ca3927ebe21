"""Small label maps on disk for the tests of this folder."""

import nibabel as nib
import numpy as np


def lps(spacing=(10.0, 2.0, 1.0)):
    """Affine of a stored (x, y, z) array whose axes run left, posterior and superior."""
    dz, dy, dx = spacing
    return np.diag([-dx, -dy, dz, 1.0])


def save(path, labels, affine=None, dtype=np.uint8):
    """Save (z, y, x) labels; stored axes are (x, y, z)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(
        labels.astype(dtype).transpose(2, 1, 0), lps() if affine is None else affine
    )
    nib.save(image, path)
    return path
