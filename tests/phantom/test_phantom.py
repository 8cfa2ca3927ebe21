from __future__ import annotations

import hashlib
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.phantom.acquisition import draw_appearance
from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomScan, PhantomSettings
from napari_ssl_muscle.phantom.subject import draw_subject
from napari_ssl_muscle.scans.muscles import default_table

SMALL = PhantomSettings(slices=10, size=128)
VL, VI, VM, RF, SARTORIUS, GRACILIS = range(1, 7)


@pytest.fixture(scope="module")
def scan() -> PhantomScan:
    return phantom_scan(2, 1, SMALL)


@pytest.fixture(scope="module")
def clean() -> PhantomScan:
    return phantom_scan(2, 1, replace(SMALL, noise=0.0))


def centre(scan: PhantomScan, value: int, side: str, z: int) -> tuple[float, float]:
    """How far lateral and how far to the front a muscle lies in one slice, in mm."""
    place = scan.affine @ np.stack(
        [axis.ravel() for axis in np.indices(scan.labels.T.shape)]
        + [np.ones(scan.labels.size, dtype=int)]
    )
    right = place[0].reshape(scan.labels.T.shape)
    front = place[1].reshape(scan.labels.T.shape)
    outward = right if side == "right" else -right
    chosen = np.equal(scan.labels.T, value) & (outward > 0)
    chosen[..., :z] = False
    chosen[..., z + 1 :] = False
    return float(outward[chosen].mean()), float(front[chosen].mean())


def area(scan: PhantomScan, value: int, z: int) -> int:
    return int((scan.labels[z] == value).sum())


def test_defaults_are_the_size_of_the_study() -> None:
    settings = PhantomSettings()
    assert (settings.subjects, settings.sessions, settings.slices, settings.size) == (5, 5, 64, 256)
    assert settings.spacing[0] == 5.0
    assert settings.spacing[1] == settings.spacing[2] == pytest.approx(1.6, abs=0.01)


def test_a_scan_depends_on_seed_subject_and_session_only(scan: PhantomScan) -> None:
    phantom_scan(1, 3, SMALL)
    again = phantom_scan(2, 1, replace(SMALL, subjects=9, sessions=2))
    assert np.array_equal(scan.image, again.image)
    assert np.array_equal(scan.labels, again.labels)
    assert scan.volumes_ml == again.volumes_ml
    for other in (
        phantom_scan(2, 2, SMALL),
        phantom_scan(3, 1, SMALL),
        phantom_scan(2, 1, replace(SMALL, seed=1)),
    ):
        assert not np.array_equal(scan.image, other.image)
        assert not np.array_equal(scan.labels, other.labels)


def test_arrays_fit_the_settings_and_the_affine(scan: PhantomScan) -> None:
    assert scan.image.shape == scan.labels.shape == (10, 128, 128)
    assert scan.image.dtype == np.float32
    assert scan.labels.dtype == np.uint8
    assert nib.aff2axcodes(scan.affine) == ("L", "P", "S")
    assert np.allclose(nib.affines.voxel_sizes(scan.affine), scan.spacing[::-1])
    # The midline is in the middle of the image.
    middle = scan.affine @ [63.5, 63.5, 0, 1]
    assert np.allclose(middle[:2], 0)


def test_true_volumes_are_those_of_the_labels(scan: PhantomScan) -> None:
    table = default_table("thigh")
    assert set(np.unique(scan.labels)) == {0, *table.values}
    # The patient's right is at low x.
    halves = {"right": scan.labels[:, :, :64], "left": scan.labels[:, :, 64:]}
    voxel_ml = np.prod(scan.spacing) / 1000
    expected = {
        f"{muscle.name} {side}": (half == muscle.value).sum() * voxel_ml
        for side, half in halves.items()
        for muscle in table.muscles
    }
    assert scan.volumes_ml == pytest.approx(expected)
    assert all(value > 20 for value in expected.values())


def test_muscles_lie_where_they_do_in_a_thigh(scan: PhantomScan) -> None:
    bottom, middle, top = 1, 5, 9
    for side in ("right", "left"):
        lateral, front = zip(
            *(centre(scan, value, side, middle) for value in range(1, 7)), strict=True
        )
        vl, vi, vm, rf, sartorius, gracilis = range(6)
        assert lateral[vl] > lateral[vi] > lateral[vm] > lateral[gracilis]
        assert front[rf] == max(front)
        assert front[gracilis] == min(front)
        assert lateral[sartorius] < lateral[rf]
        # The sartorius winds from the front of the hip to the inner back of the knee.
        high, low = centre(scan, SARTORIUS, side, top), centre(scan, SARTORIUS, side, bottom)
        assert high[1] > centre(scan, VL, side, top)[1] + 20
        assert low[1] < centre(scan, VM, side, bottom)[1] - 10
        assert low[0] < centre(scan, VL, side, bottom)[0] - 40
    assert area(scan, RF, 7) > 4 * area(scan, RF, bottom)
    assert area(scan, VM, 3) > 2.5 * area(scan, VM, 8)


def test_the_legs_mirror_each_other_but_are_not_copies(scan: PhantomScan) -> None:
    mirrored = scan.labels[:, :, ::-1]
    both = (scan.labels > 0) & (mirrored > 0)
    same = (scan.labels == mirrored)[both]
    assert 0.5 < same.mean() < 0.99


def test_every_label_is_inside_the_body(clean: PhantomScan) -> None:
    muscle = np.median(clean.image[clean.labels > 0])
    for image, labels in zip(clean.image, clean.labels, strict=True):
        body = ndimage.binary_fill_holes(image > 0.3 * muscle)
        skin_and_fat = ndimage.binary_erosion(body)
        assert not (labels[~skin_and_fat] > 0).any()
        assert not image[ndimage.binary_dilation(body, iterations=5) == 0].any()


def test_labels_of_one_slice_are_one_piece_each_side(scan: PhantomScan) -> None:
    for value in (VL, VI, VM, RF):
        pieces, _ = ndimage.label(scan.labels[4] == value)
        sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
        assert sizes[:2].sum() >= 0.97 * sizes.sum()


@pytest.mark.parametrize("subject", [1, 2, 5])
def test_months_change_volumes_as_intended(subject: int) -> None:
    settings = replace(SMALL, slices=16, size=192)
    first, last = phantom_scan(subject, 1, settings), phantom_scan(subject, 5, settings)
    assert set(first.factors.values()) == {1.0}
    assert first.factors.keys() == first.volumes_ml.keys()
    for name, factor in last.factors.items():
        assert last.volumes_ml[name] / first.volumes_ml[name] == pytest.approx(factor, rel=0.015)
    # And the change is worth measuring.
    assert max(abs(factor - 1) for factor in last.factors.values()) > 0.08


def test_some_subjects_waste_and_others_grow() -> None:
    tiny = replace(SMALL, slices=1, size=32)
    means = [np.mean(list(phantom_scan(s, 5, tiny).factors.values())) for s in range(1, 6)]
    assert min(means) < 0.92
    assert max(means) > 1.04


def test_noise_in_air_is_that_of_a_magnitude_image(scan: PhantomScan) -> None:
    air = scan.image[:, :12, :12]
    assert scan.image.min() >= 0
    # A Rayleigh distribution has mean / deviation = sqrt(pi / (4 - pi)).
    assert air.mean() / air.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.08)
    muscle = np.median(scan.image[scan.labels > 0])
    assert 0.01 < air.mean() / muscle < 0.2


def fat_to_muscle(scan: PhantomScan) -> float:
    """Signal of the bright (or, in water images, dark) fat around the muscles over theirs."""
    muscle = scan.labels > 0
    ring = ndimage.binary_dilation(muscle, iterations=6) & ~ndimage.binary_dilation(
        muscle, iterations=2
    )
    ring &= scan.image > 0
    return float(np.quantile(scan.image[ring], 0.8) / np.median(scan.image[muscle]))


def test_contrast_differs_by_session() -> None:
    clean = replace(SMALL, slices=4, noise=0.0)
    ratios = [fat_to_muscle(phantom_scan(2, session, clean)) for session in (1, 2, 3, 4, 5)]
    assert min(ratios) > 1.3
    assert max(ratios) > 1.25 * min(ratios)


def test_contrast_follows_the_protocol_more_than_the_subject() -> None:
    fat = np.array([[draw_appearance(0, s, q, "t1").fat for q in range(1, 6)] for s in range(1, 6)])
    assert fat.mean(axis=0).std() > 2 * fat.std(axis=0).mean() > 0


def test_water_images_show_fat_dark_with_the_same_labels(scan: PhantomScan) -> None:
    water = phantom_scan(2, 1, replace(SMALL, contrast="water"))
    assert np.array_equal(water.labels, scan.labels)
    muscle = np.median(water.image[water.labels > 0])
    under_skin = scan.image > 1.5 * np.median(scan.image[scan.labels > 0])
    assert np.median(water.image[under_skin]) < 0.5 * muscle


def test_the_field_is_uneven(clean: PhantomScan) -> None:
    signals = [np.median(section[labels > 0]) for section, labels in zip(clean.image, clean.labels)]  # noqa: B905
    assert max(signals) / min(signals) > 1.03


@pytest.mark.parametrize(("subject", "side"), [(1, "right"), (2, "left")])
def test_one_leg_alone_lies_in_the_middle(subject: int, side: str) -> None:
    scan = phantom_scan(subject, 1, replace(SMALL, slices=3, legs=1))
    assert {name.rsplit(" ", 1)[1] for name in scan.volumes_ml} == {side}
    total = sum(scan.volumes_ml.values())
    assert (scan.labels > 0).sum() * np.prod(scan.spacing) / 1000 == pytest.approx(total)
    columns = np.nonzero(scan.labels)[2]
    assert abs(columns.mean() - 63.5) * scan.spacing[2] < 25
    # Lateral is the patient's right in a right leg: low x.
    lateral = np.nonzero(scan.labels == VL)[2].mean() - np.nonzero(scan.labels == VM)[2].mean()
    assert (lateral < 0) == (side == "right")


def test_pressed_thighs_share_no_voxel() -> None:
    pressed = next(s for s in range(1, 40) if draw_subject(0, s).gap < -4)
    scan = phantom_scan(pressed, 1, replace(SMALL, slices=4))
    counted = (scan.labels > 0).sum() * np.prod(scan.spacing) / 1000
    assert sum(scan.volumes_ml.values()) == pytest.approx(counted)


@pytest.mark.parametrize("shape", [(1, 32), (3, 50), (2, 97)])
def test_odd_sizes_work(shape: tuple[int, int]) -> None:
    scan = phantom_scan(1, 1, PhantomSettings(slices=shape[0], size=shape[1]))
    assert scan.image.shape == (shape[0], shape[1], shape[1])
    assert np.isfinite(scan.image).all()


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"slices": 0}, "slices"),
        ({"size": 8}, "size"),
        ({"subjects": 0}, "subjects"),
        ({"sessions": -1}, "sessions"),
        ({"seed": -1}, "seed"),
        ({"legs": 3}, "legs"),
        ({"contrast": "t2"}, "t2"),
        ({"coverage": 900.0}, "coverage"),
        ({"field_of_view": 20.0}, "field_of_view"),
        ({"noise": -0.1}, "noise"),
    ],
)
def test_impossible_settings_are_named(wrong: dict[str, object], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        PhantomSettings(**wrong)  # type: ignore[arg-type]


def test_subjects_and_sessions_count_from_one() -> None:
    with pytest.raises(BadInput, match="count all from 1"):
        phantom_scan(0, 1, SMALL)
    with pytest.raises(BadInput, match="count all from 1"):
        phantom_scan(1, 0, SMALL)


@pytest.mark.parametrize(
    ("contrast", "stored"), [("t1", "428078f729f3c895"), ("water", "17d6e04f4cb3ba02")]
)
def test_scans_of_earlier_versions_stay_the_same_voxel_by_voxel(contrast: str, stored: str) -> None:
    scan = phantom_scan(2, 3, PhantomSettings(slices=6, size=96, seed=4, contrast=contrast))
    voxels = scan.image.astype("<i2").tobytes() + scan.labels.tobytes()
    assert hashlib.sha256(voxels).hexdigest()[:16] == stored
