"""From the shell command to the labels of a 512 × 512 × 16 scan, the program's start included."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import nibabel as nib
from measured import Measured, hand_over
from models import benchmark_model

from napari_ssl_muscle.scans.phantom import PhantomSettings, phantom_scan

REPEATS = 3


def main(build: Path) -> None:
    folder = build / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    model, name = benchmark_model(build)
    scan = folder / "scan.nii.gz"
    made = phantom_scan(1, 1, PhantomSettings(slices=16, size=512))
    image = nib.Nifti1Image(made.image.transpose(2, 1, 0), made.affine)  # type: ignore[no-untyped-call]
    nib.save(image, scan)
    command = [sys.executable, "-m", "napari_ssl_muscle", "segment", str(scan)]
    command += ["--model", model, "--out", str(folder / "labels"), "--overwrite"]
    seconds = []
    for _ in range(REPEATS):
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.monotonic() - began)
    what = f"command to labels, 512 × 512 × 16 ({name})"
    hand_over([Measured(what, median(seconds), "s", "≤ 10 on 2 cores")])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
