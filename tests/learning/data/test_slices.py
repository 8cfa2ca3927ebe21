"""From a volume to images and back: nothing moves."""

import numpy as np
import pytest
import torch

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.slices import (
    Frame,
    common_size,
    find_frames,
    fit,
    normalise,
    to_grid,
    to_images,
    to_window,
)
from napari_ssl_muscle.learning.settings import SliceSettings


def disc(rows: int, columns: int, y: float, x: float, radius: float) -> np.ndarray:
    yy, xx = np.mgrid[:rows, :columns]
    return (yy - y) ** 2 + (xx - x) ** 2 < radius**2


def test_there_and_back_moves_nothing() -> None:
    """Over many sizes and grids, outlines that go to the grid and back stay where they were.

    A single outline may move by a part of a grid pixel; a systematic shift (half a voxel, as
    nearest-voxel sampling gives) would show in the mean.
    """
    rng = np.random.default_rng(0)
    shifts, overlaps, areas = [], [], []
    for trial in range(60):
        rows, columns = rng.integers(60, 140, 2)
        spacing, target = (1.0, 2.0) if trial % 3 == 0 else rng.uniform((0.6, 0.7), (1.4, 2.0))
        shape = (round(rows * spacing / target), round(columns * spacing / target))
        mirrored = bool(trial % 2)
        frame = Frame(slice(0, rows), slice(0, columns), shape, slice(0, columns), mirrored)
        centre = rng.uniform(0.4, 0.6, 2) * (rows, columns)
        truth = disc(rows, columns, *centre, min(rows, columns) * 0.3)
        on_grid = to_grid(truth[None].astype(np.uint8), frame)
        scores = torch.stack([1.0 - on_grid.float(), on_grid.float()], dim=1)
        back = to_window(scores, frame).argmax(1)[0].numpy().astype(bool)
        shifts.append([np.nonzero(back)[a].mean() - np.nonzero(truth)[a].mean() for a in (0, 1)])
        overlaps.append(2 * (back & truth).sum() / (back.sum() + truth.sum()))
        areas.append(back.sum() / truth.sum())
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.05
    assert min(overlaps) > 0.96
    assert np.mean(areas) == pytest.approx(1, abs=0.01)


def test_images_see_what_the_labels_mark() -> None:
    """Image and target take the same way to the grid."""
    truth = disc(120, 90, 50, 40, 25)
    frame = Frame(slice(10, 110), slice(5, 85), (50, 40), slice(5, 85))
    images = to_images(truth[None, None].astype(np.float32), frame)[0, 0]
    target = to_grid(truth[None].astype(np.uint8), frame)[0].bool()
    assert ((images > 0) != target).sum() < 0.03 * target.numel()


def test_labels_without_resampling_are_untouched() -> None:
    classes = np.random.default_rng(0).integers(0, 7, (3, 20, 30)).astype(np.uint8)
    frame = Frame(slice(2, 18), slice(3, 27), (16, 24), slice(3, 27))
    assert np.array_equal(to_grid(classes, frame).numpy(), classes[:, 2:18, 3:27])


def test_two_legs_share_no_column_and_leave_none() -> None:
    volume = np.zeros((4, 100, 200), dtype=np.float32)
    rng = np.random.default_rng(0)
    volume += rng.rayleigh(5, volume.shape)
    volume[:, disc(100, 200, 50, 55, 38)] += 300
    volume[:, disc(100, 200, 50, 145, 38)] += 300
    frames = find_frames(volume[None], (5.0, 1.0, 1.0), SliceSettings(spacing=2.0, margin=8))
    assert len(frames) == 2
    first, second = frames
    assert first.own_x.stop <= second.own_x.start
    assert first.own_x.start <= 17
    assert second.own_x.stop >= 183
    for frame, centre in ((first, 55), (second, 145)):
        assert frame.x.start <= centre - 38
        assert frame.x.stop >= centre + 38
        assert frame.shape[0] == pytest.approx(frame.window[0] / 2, abs=1)


def test_uncropped_and_unresampled_is_the_slice_itself() -> None:
    volume = np.random.default_rng(0).normal(100, 20, (1, 2, 30, 40)).astype(np.float32)
    (frame,) = find_frames(volume, (5.0, 1.0, 1.0), SliceSettings(crop="none", spacing=None))
    images = to_images(volume, frame)
    assert images.shape == (2, 1, 30, 40)
    for image, original in zip(images[:, 0].numpy(), volume[0], strict=True):
        assert np.allclose(image, (original - original.mean()) / original.std(), atol=1e-4)


def test_a_constant_slice_becomes_zeros_not_noise() -> None:
    images = torch.full((2, 1, 8, 8), 1234.5)
    images[1, 0, 0, 0] += 1
    got = normalise(images)
    assert (got[0] == 0).all()
    assert got[1].std() > 0.5


def test_fit_pads_with_air_and_cuts_around_the_centre() -> None:
    image = torch.arange(24.0).reshape(1, 4, 6) + 5
    padded = fit(image, (8, 8))
    assert torch.equal(padded[:, 2:6, 1:7], image)
    assert (padded[0, 0] == 5).all()
    assert torch.equal(fit(image, (2, 4)), image[:, 1:3, 1:5])
    both = fit(image, (2, 8), fill=-1)
    assert torch.equal(both[:, :, 1:7], image[:, 1:3])
    assert (both[..., 0] == -1).all()


def test_common_size() -> None:
    assert common_size([(10, 33), (40, 16)], 16) == (48, 48)


def test_an_absurd_voxel_size_is_refused_before_anything_is_resampled() -> None:
    channels = np.random.default_rng(0).random((1, 4, 16, 16), np.float32)
    settings = SliceSettings(crop="none", spacing=2.0)
    for size in (500.0, 1e30, float("inf")):
        with pytest.raises(BadInput, match="more than 2048 along a side"):
            find_frames(channels, (10.0, size, size), settings)
