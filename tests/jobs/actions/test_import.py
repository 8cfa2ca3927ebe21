"""DICOM becomes a pseudonymous cohort that the program reads."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import generate_uid

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.cli import main
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cohort_jobs import ImportJob
from napari_ssl_muscle.learning.events import Event, Note, to_line
from napari_ssl_muscle.scans.cohort import open_cohort

sys.path.append(str(Path(__file__).parents[2] / "scans" / "formats"))
from dicom_files import IDENTITY, voxels, write_enhanced, write_series


def images(cohort: Path) -> list[str]:
    """Names of the images in a cohort, sorted."""
    return sorted(path.name for path in cohort.rglob("*.nii.gz"))


def do_import(dicom: Path, out: Path, **options: Any) -> tuple[dict[str, Any], list[Event]]:
    """Import and return the result and the events."""
    events: list[Event] = []
    return run_job(ImportJob(dicom=dicom, out=out, **options), events.append), events


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Two patients; the first came twice, and has a localiser and a phase image, too."""
    folder = tmp_path / "export"
    first, second, other = (generate_uid() for _ in range(3))
    ann = {"PatientID": "SECRET-ID-1", "PatientName": "Secret^Ann"}
    ben = {"PatientID": "SECRET-ID-2", "PatientName": "Secret^Ben"}
    write_series(folder / "b", voxels(), uids=(second, generate_uid()), **ann, StudyDate="20250602")
    for number, kind in ((5, "W"), (6, "F"), (7, "P")):
        write_series(
            folder / "a",
            voxels(seed=number),
            uids=(first, generate_uid()),
            prefix=kind,
            SeriesNumber=number,
            ImageType=["DERIVED", "PRIMARY", "M" if kind != "P" else "P", kind],
            EchoTime=2.5,
            **ann,
        )
    write_series(
        folder / "a",
        voxels((1, 6, 5)),
        uids=(first, generate_uid()),
        prefix="L",
        SeriesNumber=1,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        **ann,
    )
    write_enhanced(
        folder / "c" / "file", voxels(), echoes=(1.1, 2.2), StudyInstanceUID=other, **ben
    )
    (folder / "report.pdf").write_bytes(b"%PDF")
    return folder


def test_patients_visits_and_contrasts_get_names_of_the_layout(
    export: Path, tmp_path: Path
) -> None:
    result, _ = do_import(export, tmp_path / "cohort")
    found = images(tmp_path / "cohort")
    subjects = {name.split("_")[0] for name in found}
    assert subjects == {"sub-001", "sub-002"}
    by_visit = sorted("_".join(name.removesuffix(".nii.gz").split("_")[1:]) for name in found)
    assert by_visit == [
        "ses-1_acq-5_echo-1_magnitude",
        "ses-1_acq-5_echo-2_magnitude",
        "ses-1_acq-5_water",
        "ses-1_acq-6_fat",
        "ses-2_acq-5_magnitude",
    ]
    cohort = open_cohort(tmp_path / "cohort")
    assert len(cohort.cases) == 3
    assert "5 images of 2 subjects written" in result["text"]


def test_voxels_affine_and_technical_numbers_arrive(export: Path, tmp_path: Path) -> None:
    do_import(export, tmp_path / "cohort", series=[6])
    (path,) = (tmp_path / "cohort").rglob("*_fat.nii.gz")
    image: Any = nib.load(path)
    np.testing.assert_array_equal(image.get_fdata(), voxels(seed=6).transpose(2, 1, 0))
    expected = [[-1.1, 0, 0, 40], [0, -0.8, 0, 30], [0, 0, 7, 12], [0, 0, 0, 1]]
    np.testing.assert_allclose(image.affine, expected, atol=1e-6)
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (1, 1)
    sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert (sidecar["EchoTime"], sidecar["SeriesNumber"]) == (0.0025, 6)


def test_a_second_import_skips_what_is_there_and_adds_what_is_new(
    export: Path, tmp_path: Path
) -> None:
    cohort = tmp_path / "cohort"
    do_import(export / "a", cohort)
    before = {path: path.read_bytes() for path in cohort.rglob("*") if path.is_file()}
    result, _ = do_import(export, cohort)
    assert (result["there"], len(result["files"])) == (2, 3)
    assert all(path.read_bytes() == content for path, content in before.items())
    # The patient's other visit joins the subject that is there.
    assert len(list((cohort / "sub-001").iterdir())) == 2
    again, _ = do_import(export, cohort)
    assert (again["there"], again["files"]) == (5, [])


def test_no_text_of_a_header_is_written_or_reported(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = tmp_path / "cohort"
    _, events = do_import(export, cohort, series=[5, 6, 7, 1])
    with pytest.raises(SystemExit):
        main(["import", str(export), "--out", str(tmp_path / "shell"), "--events"])
    shown = capsys.readouterr()
    texts = [*map(to_line, events), shown.out, shown.err]
    for path in [*cohort.rglob("*"), *(tmp_path / "shell").rglob("*")]:
        texts.append(path.name)
        if path.suffix == ".gz":
            texts.append(bytes(nib.load(path).header.binaryblock).decode("latin-1"))
        elif path.is_file():
            texts.append(path.read_text())
    everything = "\n".join(texts).replace(str(tmp_path), "")
    assert len(texts) > 20
    assert "secret" not in everything.lower()
    for value in (IDENTITY["PatientBirthDate"], IDENTITY["StudyDate"], "20250602"):
        assert value not in everything
    assert "1.2.826" not in everything  # the root of the UIDs


def test_the_list_marks_what_is_imported_and_numbers_patients(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dicom", str(export)])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert sum(line[:1] == ["*"] for line in lines) == 5
    assert any("localiser" in line and line[0] != "*" for line in lines)
    assert "1 file passed over: not DICOM." in out
    assert "Ann" not in out


def test_a_series_with_a_gap_is_left_out_and_named(export: Path, tmp_path: Path) -> None:
    (export / "a" / "W0002").unlink()
    result, events = do_import(export, tmp_path / "cohort")
    assert len(result["files"]) == 4
    notes = [event.text for event in events if isinstance(event, Note)]
    (note,) = (text for text in notes if "missing" in text)
    assert note.startswith("Left out: series 5, water")


def test_a_damaged_series_does_not_keep_the_others_out(tmp_path: Path) -> None:
    for number, name in ((1, "a"), (2, "b")):
        paths = write_series(tmp_path / "dicom" / name, voxels(seed=number), SeriesNumber=number)
        if number == 1:
            paths[1].write_bytes(paths[1].read_bytes()[:-20])
    result, events = do_import(tmp_path / "dicom", tmp_path / "cohort")
    assert (result["left_out"], len(result["files"])) == (1, 1)
    assert any(isinstance(event, Note) and "cut short" in event.text for event in events)


def test_a_file_that_cannot_be_written_ends_the_import(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(image: Any, path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(nib, "save", full)
        with pytest.raises(BadInput, match="No space left"):
            do_import(export, tmp_path / "cohort", series=[6])
    # The JSON file that is there without its image does not count as an import.
    do_import(export, tmp_path / "cohort", series=[6])
    assert images(tmp_path / "cohort") == ["sub-001_ses-1_acq-6_fat.nii.gz"]


def test_echoes_can_be_chosen(export: Path, tmp_path: Path) -> None:
    do_import(export / "c", tmp_path / "cohort", echo=[2])
    assert images(tmp_path / "cohort") == ["sub-001_ses-1_acq-5_echo-2_magnitude.nii.gz"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"series": [99]}, "There is no series 99; there are 1, 5, 6, 7."),
        ({"echo": [9]}, "No series has an echo of that number"),
        ({"series": [1], "echo": [2]}, "No series has an echo of that number"),
    ],
)
def test_a_choice_that_is_not_there_is_a_sentence(
    export: Path, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        do_import(export, tmp_path / "cohort", **options)
    assert not images(tmp_path)


def test_a_cohort_inside_the_export_is_refused(export: Path) -> None:
    with pytest.raises(BadInput, match="lies in the folder that is imported from"):
        do_import(export, export / "cohort")


def test_a_missing_library_is_a_sentence_with_the_command(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(BadInput, match=r'pip install "napari-ssl-muscle\[dicom\]"'):
        do_import(export, tmp_path / "cohort")
