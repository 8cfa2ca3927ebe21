"""Make synthetic water images of thighs from label maps alone.

    python tools/synthesise.py LABELS_FOLDER OUT [--copies N] [--seed S]

Each label map becomes N scans in OUT (nnU-Net raw layout). What the label map does not say is
drawn at random: thickness of the fat, a femur where the quadriceps leaves room for one, muscles
without a label, how far each muscle is replaced by fat, contrast, bias field, blur and Rician
noise. The images need not look real; they have to show shapes in contrasts that vary more than
real ones do (domain randomisation, Billot et al. 2023, arXiv:2107.09559).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
STEP = 2
"""Every second voxel in plane: 1.5 mm, finer than the models work."""


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Array:
    """Return noise of unit deviation, smooth over `sigma` pixels."""
    noise = ndimage.gaussian_filter(rng.normal(size=shape), sigma, mode="wrap")
    return np.asarray(noise / (noise.std() + 1e-9), dtype=np.float32)


def legs_of(labels: NDArray[np.uint8]) -> list[slice]:
    """Return the columns of each leg, divided by the empty run of columns nearest the middle."""
    columns = labels.any(axis=(0, 1))
    filled = np.flatnonzero(columns)
    gaps = np.flatnonzero(np.diff(filled) > 8)
    if gaps.size == 0:
        return [slice(0, labels.shape[2])]
    gap = gaps[np.argmin(np.abs(gaps - filled.size / 2))]
    middle = (filled[gap] + filled[gap + 1]) // 2
    return [slice(0, middle), slice(middle, labels.shape[2])]


def draw_leg(labels: NDArray[np.uint8], pixel: float, rng: np.random.Generator) -> Array:
    """Draw one leg's slices ``(z, y, x)`` with pixels in mm; 1 is healthy muscle, 0 air."""
    fat = rng.uniform(0.15, 0.45)
    skin_mm = rng.uniform(6, 28)
    replaced = np.clip(rng.beta(1.0, 2.5, 16), 0, 0.95)  # per label value
    brightness = rng.normal(1.0, 0.08, 16)
    image = np.zeros(labels.shape, dtype=np.float32)
    quadriceps = np.isin(labels, (2, 3, 4, 5))
    unlabelled_replaced = rng.beta(1.0, 1.5)
    for z, section in enumerate(labels):
        if not section.any():
            continue
        grow = 45 / pixel  # closes the dents between muscles, as fascia does
        room = int(grow) + 2  # or the border would count as muscle
        outside = ndimage.distance_transform_edt(np.pad(section, room) == 0)
        hull = ndimage.distance_transform_edt(outside < grow) > grow
        hull = hull[room:-room, room:-room] | (section > 0)
        away = ndimage.distance_transform_edt(~hull) * pixel
        wobble = 3 * smooth_noise(rng, section.shape, 25 / pixel)
        leg = ndimage.binary_fill_holes(away + wobble < skin_mm)
        sheet = np.full(section.shape, fat, dtype=np.float32)
        sheet += 0.05 * smooth_noise(rng, section.shape, 3 / pixel)
        blobs = smooth_noise(rng, section.shape, 7 / pixel) > rng.uniform(-0.6, 0.4)
        inner = hull & blobs & (section == 0)
        share = unlabelled_replaced * rng.uniform(0.5, 1.2)
        sheet[inner] = (1 - share) + share * fat
        for value in np.unique(section[section > 0]):
            here = section == value
            share = replaced[value] * np.exp(0.2 * rng.normal())
            streaks = np.clip(
                share + 0.25 * share * smooth_noise(rng, section.shape, 2 / pixel), 0, 1
            )
            sheet[here] = ((1 - streaks) * brightness[value] + streaks * fat)[here]
        bone = femur(quadriceps[z], section > 0, pixel, rng)
        if bone is not None:
            depth = ndimage.distance_transform_edt(bone) * pixel
            sheet[bone] = rng.uniform(0.0, 0.12)
            sheet[depth > rng.uniform(3, 6)] = fat * rng.uniform(0.4, 1.1)
        seams = ndimage.maximum_filter(section, 3) != ndimage.minimum_filter(section, 3)
        if rng.random() < 0.7:
            sheet[seams & (section > 0)] *= rng.uniform(0.5, 1.0)
        for _ in range(rng.integers(1, 5)):  # vessels
            y, x = np.argwhere(hull)[rng.integers(hull.sum())]
            yy, xx = np.ogrid[: section.shape[0], : section.shape[1]]
            disc = (yy - y) ** 2 + (xx - x) ** 2 < (rng.uniform(1.5, 4) / pixel) ** 2
            sheet[disc & (section == 0)] = rng.uniform(0, 2.2)
        sheet[~leg] = 0
        rim = leg & (ndimage.distance_transform_edt(leg) * pixel < 2)
        sheet[rim] = rng.uniform(0.4, 0.9)
        image[z] = sheet
    return image


def femur(
    quadriceps: NDArray[np.bool_], muscle: NDArray[np.bool_], pixel: float, rng: np.random.Generator
) -> NDArray[np.bool_] | None:
    """Return where the femur may lie: a disc in the largest gap that the quadriceps encloses."""
    if quadriceps.sum() * pixel**2 < 300:
        return None
    far = ndimage.distance_transform_edt(~quadriceps) * pixel
    closed = ndimage.binary_fill_holes(ndimage.distance_transform_edt(far < 14) * pixel > 14)
    room = ndimage.distance_transform_edt(closed & ~muscle) * pixel
    if room.max() < 6:
        return None
    y, x = np.unravel_index(int(room.argmax()), room.shape)
    yy, xx = np.ogrid[: muscle.shape[0], : muscle.shape[1]]
    radius = min(room.max() * rng.uniform(0.85, 1.0), 22)
    disc = ((yy - y) ** 2 + (xx - x) ** 2) * pixel**2 < radius**2
    return np.asarray(disc & ~muscle)


def finish(image: Array, pixel: float, rng: np.random.Generator) -> Array:
    """Return the image with blur, bias field, contrast and Rician noise."""
    blurred = ndimage.gaussian_filter(image, (0, *(2 * [rng.uniform(0.3, 0.9)])))
    field = smooth_noise(rng, image.shape[1:], 60 / pixel)
    blurred = np.clip(blurred, 0, None) ** rng.uniform(0.7, 1.4) * np.exp(0.2 * field)
    level = rng.uniform(0.01, 0.06)
    real = blurred + rng.normal(0, level, image.shape)
    imaginary = rng.normal(0, level, image.shape)
    return np.asarray(np.hypot(real, imaginary), dtype=np.float32)


def main() -> None:
    """Read the arguments and write the synthetic scans."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    (given.out / "imagesTr").mkdir(parents=True, exist_ok=True)
    (given.out / "labelsTr").mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted(given.labels.glob("*.nii.gz"))):
        stored = nib.Nifti1Image.from_filename(path)
        whole = np.asarray(stored.dataobj).astype(np.uint8)[::STEP, ::STEP]
        affine = stored.affine @ np.diag([STEP, STEP, 1, 1])
        pixel = float(np.linalg.norm(affine[:3, 0]))
        labels = whole.transpose(2, 1, 0)
        for copy in range(given.copies):
            rng = np.random.default_rng([given.seed, number, copy])
            image = np.zeros(labels.shape, dtype=np.float32)
            for side in legs_of(labels):
                image[:, :, side] = draw_leg(labels[:, :, side], pixel, rng)
            drawn = np.round(1000 * finish(image, pixel, rng)).astype(np.int16)
            name = f"synthetic_{number:02d}_{copy}"
            image_file = given.out / "imagesTr" / f"{name}_0001.nii.gz"
            for target, array in (
                (image_file, drawn.transpose(2, 1, 0)),
                (given.out / "labelsTr" / f"{name}.nii.gz", whole),
            ):
                volume = nib.Nifti1Image(np.ascontiguousarray(array), affine)  # type: ignore[no-untyped-call]
                nib.save(volume, target)
            print(name, flush=True)


if __name__ == "__main__":
    main()
