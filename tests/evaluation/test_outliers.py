"""Which figures of a cohort are called outliers, and measuring that goes on after a stop."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.evaluation.measures.figures import Measure, Measurement
from napari_ssl_muscle.evaluation.measures.outliers import modified_z_scores, outliers
from napari_ssl_muscle.evaluation.measures.report import MeasureReport
from napari_ssl_muscle.jobs.settings import MeasureJob
from napari_ssl_muscle.scans.muscles import MuscleTable


def measured(name: str, volume: float, *, known: bool = True) -> Measurement:
    one = Measure("soleus", "left", 1, volume, (100.0,), 10, level_csa_mm2=(None, None, None))
    return Measurement(name, name, None, (1, 1, 1), MuscleTable(()), (one,), (), known)


def test_the_score_is_that_of_the_source() -> None:
    # Median 3, median absolute deviation 1: 0.6745 * (100 - 3) / 1.
    median, scores = modified_z_scores([1.0, 2.0, 3.0, 4.0, 100.0])
    assert median == 3.0
    assert scores == pytest.approx([-1.349, -0.6745, 0.0, 0.6745, 65.4265])


def test_where_most_are_the_same_the_mean_deviation_serves() -> None:
    _, scores = modified_z_scores([5.0] * 9 + [15.0])
    assert scores[-1] == pytest.approx(10 / (1.253314 * 1.0))
    assert scores[0] == 0.0


def test_few_values_have_no_outliers() -> None:
    assert modified_z_scores([1.0, 1.1, 0.9, 99.0])[1] == [0.0] * 4


def test_an_outlier_is_named_in_table_text_and_json() -> None:
    found = [measured(f"s{n}", 100.0 + n) for n in range(6)] + [measured("odd", 300.0)]
    (one,) = outliers(found)
    assert (one.case, one.muscle, one.side, one.figure) == ("odd", "soleus", "left", "volume_ml")
    report = MeasureReport(found)
    assert [row["outlier"] for row in report.rows()] == [None] * 6 + ["volume_ml"]
    assert "odd: soleus left, volume in mL, is 300.0; the median is 103.0." in report.to_text()
    assert "Iglewicz" in report.to_text()
    assert report.content()["outliers"][0]["case"] == "odd"


def test_what_is_no_millilitre_is_not_compared() -> None:
    found = [measured(f"s{n}", 100.0 + n) for n in range(6)]
    assert outliers([*found, measured("odd", 9e9, known=False)]) == []


def test_a_stopped_measurement_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "labels"
    folder.mkdir()
    for name in "abc":
        image = nib.Nifti1Image(rng.integers(0, 3, (6, 6, 4)).astype(np.uint8), np.eye(4))
        nib.save(image, folder / f"{name}_dseg.nii.gz")
    job = MeasureJob(labels=[folder], out=tmp_path / "out")
    whole = run_job(job.model_copy(update={"out": tmp_path / "whole"}))
    asked = iter([False, False, True])
    run_job(job, stop=lambda: next(asked, True))
    kept = tmp_path / "out" / "measuring.jsonl"
    assert len(kept.read_text().splitlines()) == 2
    kept.write_text(kept.read_text() + '{"key": "half a li')
    run_job(job.model_copy(update={"resume": True}))
    assert not kept.exists()
    for name in ("measures.csv", "cross_sections.csv"):
        there, once = (Path(place) / name for place in (job.out, Path(whole["out"])))
        assert there.read_text() == once.read_text()


def test_a_changed_label_map_is_measured_again(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}_dseg.nii.gz" for name in "ab"]

    def write(value: int) -> None:
        for file in files:
            image = np.zeros((4, 4, 2), np.uint8)
            image[:2] = value
            nib.save(nib.Nifti1Image(image, np.eye(4)), file)

    write(1)
    job = MeasureJob(labels=files, out=tmp_path / "out", resume=True)
    asked = iter([False])
    run_job(job, stop=lambda: next(asked, True))
    write(2)
    run_job(job)
    assert "label 1" not in (job.out / "measures.csv").read_text()
