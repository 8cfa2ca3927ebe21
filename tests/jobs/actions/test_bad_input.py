"""Bad input from the shell: exit 2, one sentence that names the culprit, nothing written."""

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from click.testing import Result

from napari_ssl_muscle.scans.split import Split, write_split

Shell = Callable[..., Result]


def save(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
    return path


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def refused(shell: Shell, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a command, checks the refusal, and returns the sentence."""

    def run(*words: object) -> str:
        before = tree(tmp_path)
        result = shell(*words)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        assert len(lines) == 1, lines
        assert lines[0].endswith(".")
        assert "Traceback" not in result.output
        assert tree(tmp_path) == before
        return lines[0]

    return run


VOXELS = np.random.default_rng(0).random((12, 12, 3), np.float32)


def missing(path: Path) -> None:
    pass


def truncated(path: Path) -> None:
    save(path, VOXELS)
    path.write_bytes(path.read_bytes()[:400])


def headless(path: Path) -> None:
    save(path, VOXELS)
    path.write_bytes(path.read_bytes()[:40])


def text(path: Path) -> None:
    path.write_bytes(gzip.compress(b"dear diary" * 100))


def not_even_gzip(path: Path) -> None:
    path.write_text("dear diary" * 100)


def constant(path: Path) -> None:
    save(path, np.zeros((12, 12, 3), np.float32))


def with_nan(path: Path) -> None:
    voxels = VOXELS.copy()
    voxels[::2] = np.nan
    save(path, voxels)


def with_infinity(path: Path) -> None:
    voxels = VOXELS.copy()
    voxels[::2] = np.inf
    save(path, voxels)


def four_dimensional(path: Path) -> None:
    save(path, np.stack([VOXELS, VOXELS], axis=-1))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "does not exist"),
        (truncated, "cut short"),
        (headless, "cut short"),
        (text, "not an image"),
        (not_even_gzip, "image"),
        (constant, "every voxel is 0"),
        (with_nan, "not finite"),
        (with_infinity, "not finite"),
        (four_dimensional, "--volume"),
    ],
)
def test_a_scan_that_cannot_be_segmented(
    refused: Callable[..., str],
    tmp_path: Path,
    model: Path,
    make: Callable[[Path], None],
    words: str,
) -> None:
    path = tmp_path / "leg.nii.gz"
    make(path)
    sentence = refused("segment", path, "--model", model, "--out", tmp_path / "out" / "new")
    assert str(path) in sentence
    assert words in sentence


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))


def garbage(path: Path) -> None:
    path.write_bytes(b"not a model" * 10)


@pytest.mark.parametrize(("make", "words"), [(pickled, "pickle"), (garbage, "safetensors")])
def test_a_file_that_is_no_model(
    refused: Callable[..., str],
    tmp_path: Path,
    scan: Path,
    make: Callable[[Path], None],
    words: str,
) -> None:
    path = tmp_path / "model.pth"
    make(path)
    sentence = refused("segment", scan, "--model", path, "--out", tmp_path / "out")
    assert str(path) in sentence
    assert words in sentence


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"in_channels": 2, "channels": ["fat", "water"]}, "2 channels (fat, water)"),
        ({"task": "inpainting", "muscles": []}, "knows no muscles"),
    ],
)
def test_a_model_for_something_else(
    refused: Callable[..., str],
    tmp_path: Path,
    scan: Path,
    make_model: Callable[..., Path],
    changes: dict[str, Any],
    words: str,
) -> None:
    path = make_model(tmp_path / "other.safetensors", **changes)
    assert words in refused("segment", scan, "--model", path, "--out", tmp_path / "out")


def test_a_cohort_without_the_models_channel(
    refused: Callable[..., str], tmp_path: Path, cohort: Path, make_model: Callable[..., Path]
) -> None:
    path = make_model(tmp_path / "water.safetensors", channels=["water"])
    sentence = refused("segment", cohort, "--model", path, "--out", tmp_path / "out")
    assert "trained on water" in sentence
    assert "T1w" in sentence


def test_a_scan_given_twice(
    refused: Callable[..., str], tmp_path: Path, model: Path, scan: Path
) -> None:
    sentence = refused("segment", scan, scan, "--model", model, "--out", tmp_path / "out")
    assert str(scan) in sentence


def test_label_maps_are_never_replaced_unasked(
    refused: Callable[..., str], tmp_path: Path, model: Path, scan: Path
) -> None:
    there = tmp_path / "sub-01_ses-01_T1w_dseg.nii.gz"
    there.write_bytes(b"drawn by hand")
    sentence = refused("segment", scan, "--model", model, "--out", tmp_path)
    assert str(there) in sentence
    assert "--overwrite" in sentence


@pytest.mark.parametrize("action", ["segment", "finetune", "evaluate", "measure"])
def test_an_output_folder_that_cannot_be_written(
    refused: Callable[..., str],
    tmp_path: Path,
    model: Path,
    scan: Path,
    labels: Path,
    cohort: Path,
    action: str,
) -> None:
    (tmp_path / "file").touch()
    words = {
        "segment": (scan, "--model", model),
        "finetune": (cohort,),
        "evaluate": (labels, labels),
        "measure": (labels,),
    }[action]
    sentence = refused(action, *words, "--out", tmp_path / "file" / "out")
    assert str(tmp_path / "file") in sentence


def test_a_folder_that_holds_another_run(
    refused: Callable[..., str], tmp_path: Path, cohort: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "job.json").write_text("{}")
    sentence = refused("finetune", cohort, "--out", tmp_path / "run")
    assert str(tmp_path / "run") in sentence


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Two subjects with labels beside their scans; three slices each."""
    folder = tmp_path / "flat"
    values = np.zeros((12, 12, 3), np.uint8)
    values[3:6, 3:6, 1:] = 1
    values[6:9, 3:6, 1:] = 2
    for name in ("anna", "ben"):
        save(folder / f"{name}.nii.gz", VOXELS)
        save(folder / f"{name}_seg.nii.gz", values)
    table = '1 255 0 0 1 1 1 "vastus lateralis"\n2 0 255 0 1 1 1 "sartorius"\n'
    (folder / "muscles.label").write_text(table)
    return folder


def fine_tune(refused: Callable[..., str], folder: Path, *words: object) -> str:
    return refused("finetune", folder, "--out", folder.parent / "run", "--steps", 1, *words)


def test_labels_of_another_geometry(refused: Callable[..., str], flat: Path) -> None:
    save(flat / "ben_seg.nii.gz", np.ones((12, 13, 2), np.uint8))
    sentence = fine_tune(refused, flat)
    assert str(flat / "ben.nii.gz") in sentence
    assert str(flat / "ben_seg.nii.gz") in sentence


def test_label_values_outside_the_table(refused: Callable[..., str], flat: Path) -> None:
    save(flat / "anna_seg.nii.gz", np.full((12, 12, 3), 7, np.uint8))
    sentence = fine_tune(refused, flat)
    assert str(flat / "anna_seg.nii.gz") in sentence
    assert "7" in sentence


def test_no_labelled_slice(refused: Callable[..., str], flat: Path) -> None:
    for name in ("anna", "ben"):
        save(flat / f"{name}_seg.nii.gz", np.zeros((12, 12, 3), np.uint8))
    assert "label at least one slice" in fine_tune(refused, flat)


def test_no_label_map(refused: Callable[..., str], flat: Path) -> None:
    for name in ("anna", "ben"):
        (flat / f"{name}_seg.nii.gz").unlink()
    assert str(flat) in fine_tune(refused, flat)


def test_labels_that_are_no_whole_numbers(refused: Callable[..., str], flat: Path) -> None:
    save(flat / "anna_seg.nii.gz", VOXELS)
    assert str(flat / "anna_seg.nii.gz") in fine_tune(refused, flat)


def test_a_training_scan_that_is_broken_inside(refused: Callable[..., str], flat: Path) -> None:
    with_nan(flat / "anna.nii.gz")
    sentence = fine_tune(refused, flat, "--preset", "quick")
    assert str(flat / "anna.nii.gz") in sentence


def test_too_few_subjects_for_a_split_by_subject(refused: Callable[..., str], flat: Path) -> None:
    sentence = fine_tune(refused, flat, "--split", "subject")
    assert "needs 3 labelled subjects" in sentence
    assert str(flat) in sentence


def test_a_split_that_leaks(refused: Callable[..., str], flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    write_split(path, Split("slice", ("anna:1",), ("anna:2",), ("ben:1",), 0, (0.4, 0.3, 0.3)))
    assert "anna" in fine_tune(refused, flat, "--split-file", path)


def test_a_split_that_was_changed(refused: Callable[..., str], flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    write_split(path, Split("subject", ("anna",), ("ben",), (), 0, (0.5, 0.5, 0)))
    content = json.loads(path.read_text())
    content["train"], content["validation"] = ["ben"], ["anna"]
    path.write_text(json.dumps(content))
    assert str(path) in fine_tune(refused, flat, "--split-file", path)


def test_a_split_of_another_cohort(refused: Callable[..., str], flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    write_split(path, Split("subject", ("carla",), ("dora",), ("eve",), 0, (0.4, 0.3, 0.3)))
    assert str(path) in fine_tune(refused, flat, "--split-file", path)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--muscles", "biceps"), "sartorius"),
        (("--channels", "water"), "image"),
        (("--train-on", "carla"), "carla"),
        (("--accepted-empty", "anna"), "anna"),
        (("--accepted-empty", "anna:9"), "9"),
        (("--accepted-empty", "carla:0"), "carla"),
        (("--lr", "-1"), "--lr"),
        (("--minutes", "1"), "steps and minutes"),
        (("--volume", "3"), "no volume 3"),
        (("--init", "nowhere"), "nowhere"),
    ],
)
def test_a_setting_that_does_not_fit(
    refused: Callable[..., str], flat: Path, words: tuple[str, str], named: str
) -> None:
    assert named in fine_tune(refused, flat, *words)


def test_several_channels_of_which_none_was_chosen(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    folder = tmp_path / "raw"
    for channel in ("0000", "0001"):
        save(folder / "imagesTr" / f"leg_{channel}.nii.gz", VOXELS)
    save(folder / "labelsTr" / "leg.nii.gz", np.ones((12, 12, 3), np.uint8))
    sentence = fine_tune(refused, folder)
    assert "0000, 0001" in sentence
    assert "--channels" in sentence


def test_an_init_with_another_network(refused: Callable[..., str], flat: Path, model: Path) -> None:
    sentence = fine_tune(refused, flat, "--init", model, "--width", 8)
    assert "width 4 instead of 8" in sentence


@pytest.mark.parametrize("action", ["evaluate", "measure"])
def test_tables_are_never_replaced_unasked(
    refused: Callable[..., str], tmp_path: Path, labels: Path, action: str
) -> None:
    there = tmp_path / {"evaluate": "evaluation.json", "measure": "measures.csv"}[action]
    there.touch()
    words = (labels, labels) if action == "evaluate" else (labels,)
    assert str(there) in refused(action, *words, "--out", tmp_path)


def test_predictions_without_a_reference(refused: Callable[..., str], tmp_path: Path) -> None:
    ones = np.ones((4, 4, 2), np.uint8)
    save(tmp_path / "a" / "x_seg.nii.gz", ones)
    save(tmp_path / "b" / "y_seg.nii.gz", ones)
    sentence = refused("evaluate", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out")
    assert "x_seg.nii.gz" in sentence
    assert "y_seg.nii.gz" in sentence


def test_a_prediction_of_another_geometry(refused: Callable[..., str], tmp_path: Path) -> None:
    one = save(tmp_path / "a.nii.gz", np.ones((4, 5, 2), np.uint8))
    two = save(tmp_path / "b.nii.gz", np.ones((4, 4, 3), np.uint8))
    sentence = refused("evaluate", one, two, "--out", tmp_path / "out")
    assert str(one) in sentence
    assert str(two) in sentence


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "{}/none"),
        ("phantom", "{}/full"),
        ("phantom", "{}/new", "--size", "3"),
        ("models", "none"),
        ("models", "--folder", "{}/none"),
        ("import-reference", "{}/none.pth", "--out", "{}/x.safetensors"),
        ("import-reference", "{}/full/file", "--out", "{}/x.safetensors"),
        ("run", "{}/none.json"),
        ("run", "{}/full/file"),
        ("measure", "{}/full", "--out", "{}/out"),
        ("segment", "--model", "m", "--out", "o"),
        ("segment", "scan", "--model", "m"),
        ("finetune", "c", "--out", "o", "--freeze", "half"),
        ("finetune", "c", "--out", "o", "--lr", "fast"),
        ("dance",),
        ("app", "{}/none"),
    ],
)
def test_other_requests_that_cannot_be_met(
    refused: Callable[..., str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("something")
    refused(*(word.format(tmp_path) for word in words))
