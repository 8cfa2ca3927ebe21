"""Put slices of the images of a cohort into one picture.

    python tools/picture_images.py COHORT PICTURE.png [--images 6] [--slices 3]

Each row is an image, from distal to proximal, with the outline of its labels in the last column.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from napari_ssl_muscle.scans.cohort import open_cohort
from napari_ssl_muscle.scans.volume import open_label_map, open_scan


def main() -> None:
    """Read the arguments and write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--slices", type=int, default=3)
    given = parser.parse_args()
    cases = sorted(open_cohort(given.cohort).cases, key=lambda case: case.session or case.name)
    cases = cases[: given.images]
    figure, rows = plt.subplots(
        len(cases), given.slices, figsize=(2.2 * given.slices, 1.35 * len(cases)), squeeze=False
    )
    for row, case in zip(rows, cases, strict=True):
        volume = open_scan(next(iter(case.images.values()))).read()
        labels = None if case.labels is None else open_label_map(case.labels).read()
        places = np.linspace(0, len(volume) - 1, given.slices + 2)[1:-1].round().astype(int)
        for axis, z in zip(row, places, strict=True):
            axis.imshow(volume[z], cmap="gray", vmin=0, vmax=np.percentile(volume, 99.5))
            axis.axis("off")
        if labels is not None and labels[places[-1]].any():
            row[-1].contour(labels[places[-1]], np.arange(0.5, labels.max()), linewidths=0.3)
    figure.subplots_adjust(0, 0, 1, 1, 0.02, 0.02)
    figure.savefig(given.picture, dpi=54, facecolor="black")
    print(f"{given.picture}: {given.picture.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
