"""The scan that the benchmarks segment."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib

from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomSettings


def benchmark_scan(folder: Path) -> Path:
    """Write a phantom scan of 512 × 512 × 16 and return its file."""
    path = folder / "bench" / "scan.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = phantom_scan(1, 1, PhantomSettings(slices=16, size=512))
    image = nib.Nifti1Image(made.image.transpose(2, 1, 0), made.affine)  # type: ignore[no-untyped-call]
    nib.save(image, path)
    return path
