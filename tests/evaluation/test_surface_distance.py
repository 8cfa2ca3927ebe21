import itertools

import numpy as np
import pytest

from napari_ssl_muscle.evaluation.surface_distance import surface_distances


def slow_surface(mask, compared):
    """Voxels with a face neighbour that is known to be outside, one by one."""
    points = []
    for z, y, x in np.argwhere(mask):
        if not compared[z]:
            continue
        for dz, dy, dx in [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]:
            there = (z + dz, y + dy, x + dx)
            if dz and (not 0 <= there[0] < len(mask) or not compared[there[0]]):
                continue
            in_image = all(0 <= i < n for i, n in zip(there, mask.shape, strict=True))
            if not in_image or not mask[there]:
                points.append((z, y, x))
                break
    return np.array(points, float)


def slow_distances(prediction, reference, spacing, compared):
    first, second = (slow_surface(m, compared) * spacing for m in (prediction, reference))
    every = np.sqrt(((first[:, None] - second[None]) ** 2).sum(-1))
    there, back = every.min(1), every.min(0)
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return hd95, np.concatenate([there, back]).mean()


def blob(rng, shape):
    """A few boxes, some of them across the border of the volume."""
    mask = np.zeros(shape, bool)
    for _ in range(3):
        low = [int(rng.integers(0, n)) for n in shape]
        mask[tuple(slice(a, a + int(rng.integers(1, 5))) for a in low)] = True
    return mask


SPACINGS = [(1.0, 1.0, 1.0), (24.0, 0.74, 0.74), (0.5, 3.0, 1.25)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spacing", SPACINGS)
def test_distances_equal_brute_force(seed, spacing):
    rng = np.random.default_rng(seed)
    shape = (6, 8, 9)
    prediction, reference = blob(rng, shape), blob(rng, shape)
    compared = np.ones(6, bool) if seed % 2 else rng.random(6) < 0.7
    assert prediction[compared].any()
    assert reference[compared].any()
    result = surface_distances(prediction, reference, spacing, compared)
    hd95, mean = slow_distances(prediction, reference, np.array(spacing), compared)
    assert result.hd95 == pytest.approx(hd95, abs=1e-9)
    assert result.mean == pytest.approx(mean, abs=1e-9)
    assert surface_distances(reference, prediction, spacing, compared) == result


@pytest.mark.parametrize("step", [*itertools.product((0, 1, 2), (0, 3), (0, -1))])
def test_two_single_voxels_are_as_far_apart_as_their_centres(step):
    prediction, reference = np.zeros((2, 5, 7, 7), bool)
    prediction[1, 2, 3] = True
    reference[tuple(np.add((1, 2, 3), step))] = True
    result = surface_distances(prediction, reference, (24.0, 0.74, 1.5))
    expected = np.linalg.norm(np.array(step) * (24.0, 0.74, 1.5))
    assert result.hd95 == pytest.approx(expected)
    assert result.mean == pytest.approx(expected)


def test_empty_masks():
    empty = np.zeros((3, 4, 4), bool)
    something = empty.copy()
    something[1, 1, 1] = True
    for pair in [(empty, something), (something, empty)]:
        result = surface_distances(*pair, (1, 1, 1))
        assert result.hd95 == result.mean == float("inf")
    result = surface_distances(empty, empty, (1, 1, 1))
    assert result.hd95 is None
    assert result.mean is None
    # The only voxel lies in a slice that is not compared: nothing is there to be missed.
    shown = np.array([True, False, True])
    assert surface_distances(empty, something, (1, 1, 1), shown).hd95 is None


def test_hd95_forgives_a_few_far_voxels_and_the_mean_does_not():
    reference = np.zeros((1, 60, 60), bool)
    reference[0, 10:40, 10:40] = True
    prediction = reference.copy()
    prediction[0, 55, 55] = True  # one of 117 surface voxels
    result = surface_distances(prediction, reference, (5.0, 1.0, 1.0))
    assert result.hd95 == 0
    assert result.mean == pytest.approx(np.hypot(16, 16) / (117 + 116))


def test_a_cut_face_is_no_surface_and_a_single_slice_counts_by_its_outline():
    reference = np.zeros((4, 20, 20), bool)
    reference[:, 5:15, 5:15] = True
    prediction = np.zeros_like(reference)
    prediction[:, 4:16, 4:16] = True  # 1 mm too large all round, in every slice
    whole = surface_distances(prediction, reference, (24.0, 1.0, 1.0))
    one = surface_distances(prediction[:1], reference[:1], (24.0, 1.0, 1.0))
    assert whole.mean == pytest.approx(one.mean)
    assert 1 <= one.mean <= one.hd95 <= np.sqrt(2)


def test_a_muscle_that_ends_a_slice_early_is_that_far_off():
    reference = np.zeros((5, 12, 12), bool)
    reference[:3, 3:9, 3:9] = True
    prediction = reference.copy()
    prediction[2] = False
    assert surface_distances(prediction, reference, (8.0, 1.0, 1.0)).hd95 == 8.0


def test_nonsense_is_refused():
    mask = np.ones((2, 3, 3), bool)
    with pytest.raises(ValueError, match="one shape"):
        surface_distances(mask, mask[:1], (1, 1, 1))
    for spacing in [(1, 1), (1, 0, 1), (1, float("nan"), 1)]:
        with pytest.raises(ValueError, match="three lengths"):
            surface_distances(mask, mask, spacing)
