"""What a folder's record says of label maps that were corrected."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.evaluation.provenance import Provenance
from napari_ssl_muscle.jobs.record import NAME, origin_of_file, read_record, record_labels
from napari_ssl_muscle.jobs.settings import EvaluateJob
from napari_ssl_muscle.jobs.training_data.labelled import labelled_cases
from napari_ssl_muscle.scans.cohort import open_cohort
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.scans.volume import save_label_map

MODEL = Provenance("plain", "0123456789ab", "fedcba987654", False, frozenset({"sub-09"}))


def write(path: Path, value: int = 1) -> Path:
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[:, 2:5, 2:5] = value
    geometry = Geometry((8, 8, 3), np.eye(4))
    return save_label_map(path, labels, geometry, default_table("thigh"))[0]


def test_labels_are_the_models_until_they_are_corrected_here_or_elsewhere(tmp_path: Path) -> None:
    file = write(tmp_path / "a_dseg.nii.gz")
    assert origin_of_file(file) == (None, None)
    record_labels(file, MODEL, False)
    assert origin_of_file(file) == (MODEL, False)
    write(file, 2)  # another program has saved over it
    assert origin_of_file(file) == (MODEL, True)
    record_labels(file, MODEL, True)
    assert origin_of_file(file) == (MODEL, True)


def test_labels_of_nobody_take_the_place_of_a_models(tmp_path: Path) -> None:
    file = write(tmp_path / "a_dseg.nii.gz")
    record_labels(file, None, None)
    assert not (tmp_path / NAME).exists()
    record_labels(file, MODEL, False)
    record_labels(file, None, None)
    assert read_record(tmp_path)["scans"] == {}


def test_an_evaluation_tells_which_cases_were_corrected(tmp_path: Path) -> None:
    for name, corrected in (("a", False), ("b", True)):
        record_labels(write(tmp_path / "p" / f"{name}_dseg.nii.gz"), MODEL, corrected)
        write(tmp_path / "r" / f"{name}_dseg.nii.gz")
    job = EvaluateJob(predictions=tmp_path / "p", references=tmp_path / "r", out=tmp_path / "out")
    result = run_job(job, lambda _: None)
    assert "Corrected by hand after the model: b." in result["text"]
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert [case["corrected_by_hand"] for case in report["cases"]] == [False, True]
    assert report["provenance"]["model_hash"] == MODEL.model_hash
    lines = (tmp_path / "out" / "evaluation.csv").read_text().splitlines()
    column = lines[0].split(",").index("corrected_by_hand")
    assert {line.split(",")[column] for line in lines[1:]} == {"False", "True"}


def test_a_models_own_predictions_do_not_train(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        file = write(tmp_path / f"{name}_dseg.nii.gz")
        image = np.random.default_rng(0).normal(size=(8, 8, 3)).astype(np.float32)
        nib.save(nib.Nifti1Image(image, np.eye(4)), tmp_path / f"{name}.nii.gz")
        if name != "a":
            record_labels(file, MODEL, name == "c")
    cohort = open_cohort(tmp_path)
    cases, notes = labelled_cases(cohort, ["image"])
    assert [case.name for case in cases] == ["a", "c"]
    assert notes == [
        "b was left out: its labels are what the model plain predicted, and nobody has corrected "
        "them."
    ]
