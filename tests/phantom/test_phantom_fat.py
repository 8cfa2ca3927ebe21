"""The phantom's Dixon scans, its growing fat, repeated scans and their place along the leg."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.measures.fat import fat_from_water_and_fat, muscle_fat
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomScan, PhantomSettings
from napari_ssl_muscle.scans.cohort import open_cohort
from napari_ssl_muscle.scans.muscles import default_table

DIXON = PhantomSettings(slices=6, size=128, contrast="dixon")
NAMES = {muscle.name: muscle.value for muscle in default_table("thigh").muscles}


def measured_fat(scan: PhantomScan, key: str) -> float:
    muscle, side = key.rsplit(" ", 1)
    assert scan.fat_image is not None
    right = np.arange(scan.labels.shape[2]) < scan.labels.shape[2] / 2
    mask = (scan.labels == NAMES[muscle]) & (right if side == "right" else ~right)
    found = muscle_fat(fat_from_water_and_fat(scan.image, scan.fat_image), mask, scan.spacing)
    assert found.percent is not None
    return found.percent


def test_a_dixon_scan_has_two_images_and_the_true_fat_of_every_muscle() -> None:
    scan = phantom_scan(2, 1, replace(DIXON, noise=0.0))
    assert scan.fat_image is not None
    assert scan.fat_percent.keys() == scan.volumes_ml.keys()
    for key, true in scan.fat_percent.items():
        assert 0 < true < 100
        # The blur of the image mixes in what lies around the muscle.
        assert measured_fat(scan, key) == pytest.approx(true, abs=2.5)
    same = phantom_scan(2, 1, replace(DIXON, contrast="t1"))
    assert np.array_equal(scan.labels, same.labels)
    assert same.fat_image is None
    assert not same.fat_percent


def test_infiltration_grows_by_what_was_asked_for() -> None:
    settings = replace(DIXON, infiltration=3.0)
    first, last = (phantom_scan(2, session, settings) for session in (1, 5))
    gained = [last.fat_percent[key] - first.fat_percent[key] for key in first.fat_percent]
    assert min(gained) > 0
    assert np.mean(gained) == pytest.approx(12.0, abs=5.0)
    assert first.fat_percent == phantom_scan(2, 1, DIXON).fat_percent


def test_a_repeated_scan_is_the_same_leg_in_another_pose() -> None:
    first, second = (phantom_scan(2, 1, DIXON, repeat) for repeat in (1, 2))
    assert not np.array_equal(first.labels, second.labels)
    assert first.factors == second.factors
    for key, volume in first.volumes_ml.items():
        assert second.volumes_ml[key] == pytest.approx(volume, rel=0.1)


def test_scans_begin_at_another_place_along_the_leg() -> None:
    settings = replace(DIXON, coverage=160.0, placement=20.0, slices=16, size=64)
    shapes = {phantom_scan(2, 1, settings, r).labels.sum(axis=(1, 2)).tobytes() for r in (1, 2, 3)}
    assert len(shapes) == 3
    with pytest.raises(BadInput, match="set placement"):
        replace(DIXON, placement=20.0)


def test_a_cohort_tells_months_and_true_fat(tmp_path: Path) -> None:
    settings = replace(DIXON, subjects=1, sessions=2, repeats=2, slices=3, size=64)
    folder = write_phantom(tmp_path / "cohort", settings)
    with (folder / "derivatives/labels/true_volumes.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["session_id"] for row in rows[::12]] == ["ses-01", "ses-01r2", "ses-02", "ses-02r2"]
    assert float(rows[0]["fat_percent"]) > 0
    cohort = open_cohort(folder)
    assert cohort.channels == ("acq-fat_T1w", "acq-water_T1w")
    assert not cohort.problems
    table = (folder / "subjects.tsv").read_text(encoding="utf-8").splitlines()
    assert table[0] == "scan\tsubject\tsession\tmonth"
    assert table[-1] == "sub-01_ses-02r2\tsub-01\tses-02r2\t1"
