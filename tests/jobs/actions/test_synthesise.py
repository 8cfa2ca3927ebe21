"""`ssl-muscle synthesise` and `ssl-muscle twins`, on maps of the phantom."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import Result

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.jobs.cohort_jobs import SynthesiseJob
from napari_ssl_muscle.learning.events import Event, Note, Progress, Stopped
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.cohort import open_cohort
from napari_ssl_muscle.scans.inspection import inspect

Shell = Callable[..., Result]


@pytest.fixture(scope="session")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = PhantomSettings(subjects=2, sessions=1, slices=3, size=64)
    cohort = write_phantom(tmp_path_factory.mktemp("maps") / "cohort", settings)
    return cohort / "derivatives"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.nii.gz")}


def test_a_cohort_is_drawn_that_can_be_trained_on(maps: Path, shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "images"
    done = shell("synthesise", maps, "--out", out, "--images", 4, "--twin-dice", 0.99,
                 "--contrast", "fat,t1")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "4 images from 2 label maps, 2 subjects" in done.stdout
    assert "MB on disk" in done.stderr
    cohort = open_cohort(out)
    assert cohort.problems == ()
    assert cohort.channels == ("image",)
    assert cohort.subjects == ("sub-01", "sub-02")
    assert len(cohort.labelled) == 4
    assert all(len(report.muscles) == 6 for report in inspect(cohort))
    image = next((out / "imagesTr").glob("*.nii.gz"))
    assert nib.load(image).get_data_dtype() == np.int16
    started = shell("finetune", out, "--out", tmp_path / "run", "--preset", "quick", "--steps", 1,
                    "--width", 4, "--depth", 1, "--split", "none")  # fmt: skip
    assert started.exit_code == 0, started.output


def test_images_are_added_and_those_that_are_there_stay(
    maps: Path, shell: Shell, tmp_path: Path
) -> None:
    command = ("synthesise", maps, "--out", tmp_path / "images", "--twin-dice", 0.99)
    assert shell(*command, "--images", 1).exit_code == 0
    before = contents(tmp_path / "images")
    (name,) = (key for key in before if key.startswith("imagesTr"))
    done = shell(*command, "--images", 2)
    assert done.exit_code == 0, done.output
    assert "1 image is there already" in done.stderr or "are there already" in done.stderr
    after = contents(tmp_path / "images")
    assert len(after) == 4
    assert after[name] == before[name]
    # An image that was lost comes back as it was.
    (tmp_path / "images" / name).unlink()
    assert shell(*command, "--images", 2).exit_code == 0
    again = nib.load(tmp_path / "images" / name).get_fdata()
    (tmp_path / "kept.nii.gz").write_bytes(before[name])
    np.testing.assert_array_equal(again, nib.load(tmp_path / "kept.nii.gz").get_fdata())


def test_what_is_drawn_stays_when_it_is_stopped(maps: Path, tmp_path: Path) -> None:
    events: list[Event] = []

    def stop() -> bool:
        return any(isinstance(event, Progress) and event.done == 1 and "_ses-" in event.text
                   and event.total == 3 for event in events)  # fmt: skip

    job = SynthesiseJob(maps=[maps], out=tmp_path / "images", images=3, twin_dice=0.99)
    run_job(job, events.append, stop)
    assert isinstance(events[-1], Stopped)
    assert events[-1].result["images"] == 2
    assert len(contents(tmp_path / "images")) == 4


def test_maps_of_a_person_who_tests_are_left_out(maps: Path, tmp_path: Path) -> None:
    tested = tmp_path / "renamed_dseg.nii.gz"
    shutil.copy(next(maps.rglob("sub-02*_dseg.nii.gz")), tested)
    shutil.copy(next(maps.rglob("sub-02*_dseg.tsv")), tmp_path / "renamed_dseg.tsv")
    events: list[Event] = []
    job = SynthesiseJob(
        maps=[maps], out=tmp_path / "images", images=2, twin_dice=0.99, exclude_twins_of=[tested]
    )
    run_job(job, events.append)
    notes = "\n".join(event.text for event in events if isinstance(event, Note))
    assert "sub-02_ses-01_dseg and renamed_dseg are likely of one person" in notes
    assert "Left out as maps of a person who tests: sub-02_ses-01_dseg." in notes
    assert open_cohort(tmp_path / "images").subjects == ("sub-01",)
    record = json.loads((tmp_path / "images" / "synthesis.json").read_text(encoding="utf-8"))
    assert [name for name, _ in record["maps"].values()] == ["sub-01_ses-01_dseg"]


def test_twins_are_listed(maps: Path, shell: Shell, tmp_path: Path) -> None:
    shutil.copytree(maps, tmp_path / "maps")
    for path in list((tmp_path / "maps").rglob("sub-01*_dseg.*")):
        shutil.copy(path, path.with_name(path.name.replace("sub-01", "sub-77")))
    done = shell("twins", tmp_path / "maps", "--dice", 0.99)
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        "sub-01_ses-01_dseg and sub-77_ses-01_dseg are likely of one person "
        "(mean Dice 1.00 after alignment).\n"
    )
    none = shell("twins", maps, "--dice", 0.99)
    assert none.stdout == "No two of 2 label maps have a mean Dice above 0.99.\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--images", 0], "greater than or equal to 1"),
        (["--images", 1, "--contrast", "sepia"], "sepia"),
        (["--images", 90_000_000], "less than or equal to"),
        (["--images", 1, "--table", "nothing.tsv"], "nothing.tsv"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(
    maps: Path, shell: Shell, tmp_path: Path, words: list[object], sentence: str
) -> None:
    done = shell("synthesise", maps, "--out", tmp_path / "images", *words)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "images").exists()


def test_folders_that_hold_something_else_are_refused(
    maps: Path, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear", encoding="utf-8")
    done = shell("synthesise", maps, "--out", tmp_path / "full", "--images", 1)
    assert done.exit_code == 2
    assert "is not empty and holds no synthetic images" in done.stderr
    (tmp_path / "empty").mkdir()
    done = shell("synthesise", tmp_path / "empty", "--out", tmp_path / "images", "--images", 1)
    assert done.exit_code == 2
    assert "There is no label map" in done.stderr


def test_a_map_without_a_muscle_table_is_refused(maps: Path, shell: Shell, tmp_path: Path) -> None:
    shutil.copy(next(maps.rglob("*_dseg.nii.gz")), tmp_path / "bare.nii.gz")
    done = shell("synthesise", tmp_path / "bare.nii.gz", "--out", tmp_path / "o", "--images", 1)
    assert done.exit_code == 2
    assert "There is no muscle table beside" in done.stderr
    assert not (tmp_path / "o").exists()


def test_images_with_another_seed_are_not_mixed_in(
    maps: Path, shell: Shell, tmp_path: Path
) -> None:
    command = ("synthesise", maps, "--out", tmp_path / "images", "--images", 1, "--twin-dice", 0.99)
    assert shell(*command).exit_code == 0
    before = contents(tmp_path / "images")
    done = shell(*command, "--seed", 1)
    assert done.exit_code == 2
    assert "other settings (seed)" in done.stderr
    assert contents(tmp_path / "images") == before
