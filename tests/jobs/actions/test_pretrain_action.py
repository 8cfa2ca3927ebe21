"""Pretraining from the shell: what it leaves behind, and what it refuses."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import Result

from napari_ssl_muscle.learning.events import EpochEnd, from_line
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.scans.cohort import open_cohort
from napari_ssl_muscle.scans.split import Split, write_split

Shell = Callable[..., Result]

TINY = ("--preset", "quick", "--width", 4, "--depth", 1, "--size", 32, "--threads", 1)
LITTLE = (*TINY, "--no-augment", "--kernel-size", 4, "--steps", 1)


def test_a_pretraining_leaves_a_run_from_which_a_fine_tuning_starts(
    shell: Shell, cohort: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ("pretrain", cohort, "--out", run, *TINY, "--steps", 4, "--validate-every", 2)
    result = shell(*words, "--kernel-size", 4, "--mask-percent", 30, "--scored", "image")
    assert result.exit_code == 0, result.output
    assert "Error inside the masks" in result.stdout
    assert str(run / "model.safetensors") in result.stdout
    assert str(run / "probes.png") in result.stdout
    card = read_card(run / "model.safetensors")
    assert card.recipe is not None
    assert card.recipe.pretext.scored == "image"
    assert (card.recipe.pretext.kernel_size, card.recipe.pretext.mask_percent) == (4, 30)
    assert card.training_subjects == ["sub-01", "sub-02", "sub-03"]
    log = (run / "events.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [event for line in log if isinstance(event := from_line(line), EpochEnd)]
    rows = list(csv.DictReader((run / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    assert [int(row["step"]) for row in rows] == [event.step for event in epochs]
    assert float(rows[-1]["masked_error"]) == epochs[-1].metrics["masked_error"]
    assert [row["best"] for row in rows] == [str(int(event.best)) for event in epochs]

    for freeze in ("none", "encoder", "decoder", "both"):
        tuned = tmp_path / freeze
        words = ("finetune", cohort, "--out", tuned, "--init", run, "--steps", 1, "--threads", 1)
        result = shell(*words, "--freeze", freeze)
        assert result.exit_code == 0, result.output
        assert "for 2 inputs; the last input is not used" in result.stderr
        after = read_card(tuned / "model.safetensors")
        assert (after.network, after.slices) == (card.network, card.slices)
        assert f"Started from run; frozen: {freeze}." in after.notes


def test_the_darkest_value_can_fill_the_holes(shell: Shell, cohort: Path, tmp_path: Path) -> None:
    for fill, recipe in (("darkest", None), ("-1.5", -1.5)):
        run = tmp_path / fill
        result = shell("pretrain", cohort, "--out", run, *LITTLE, f"--fill={fill}")
        assert result.exit_code == 0, result.output
        card = read_card(run / "model.safetensors")
        assert card.recipe is not None
        assert card.recipe.pretext.fill == recipe


@pytest.mark.parametrize("transductive", [False, True])
def test_the_test_set_of_a_split_is_left_out_unless_transductive(
    shell: Shell, cohort: Path, tmp_path: Path, transductive: bool
) -> None:
    split = Split("subject", ("sub-01",), ("sub-02",), ("sub-03",), 0, (0.4, 0.3, 0.3))
    write_split(tmp_path / "split.json", split)
    run = tmp_path / "run"
    words = ("pretrain", cohort, "--out", run, *LITTLE, "--split-file", tmp_path / "split.json")
    result = shell(*words, *(("--transductive",) if transductive else ()))
    assert result.exit_code == 0, result.output
    card = read_card(run / "model.safetensors")
    assert card.transductive == transductive
    assert ("sub-03" in card.training_subjects) == transductive
    assert any(split.hash in note for note in card.notes)
    # A fine-tuning from it that tests on that subject says so, too.
    words = ("finetune", cohort, "--out", tmp_path / "tuned", "--init", run, "--steps", 1)
    tuned = shell(*words, "--split-file", tmp_path / "split.json", "--threads", 1)
    assert tuned.exit_code == 0, tuned.output
    assert ("TRANSDUCTIVE" in tuned.stderr) == transductive
    assert read_card(tmp_path / "tuned" / "model.safetensors").transductive == transductive


def test_test_slices_of_a_split_by_slice_take_no_part(
    shell: Shell, cohort: Path, tmp_path: Path
) -> None:
    case = open_cohort(cohort).cases[0].name
    split = Split("slice", (f"{case}:0",), (f"{case}:1",), (f"{case}:3",), 0, (0.4, 0.3, 0.3))
    write_split(tmp_path / "split.json", split)
    counts = []
    for name, more in (("all", ()), ("some", ("--split-file", tmp_path / "split.json"))):
        result = shell("pretrain", cohort, "--out", tmp_path / name, *LITTLE, *more)
        assert result.exit_code == 0, result.output
        counts.append(read_card(tmp_path / name / "model.safetensors").training_data[0].slices)
    assert counts[0] - counts[1] == 1
    assert "LEAKING" in result.stderr


# --- bad input


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def refused(shell: Shell, folder: Path, *words: object) -> str:
    """Run a command, check that it was refused and wrote nothing, and return the sentence."""
    before = tree(folder)
    result = shell(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    said = [line for line in result.stderr.splitlines() if not line.startswith("Warning: ")]
    assert len(said) == 1, said
    assert tree(folder) == before
    return said[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mask-percent", 0), "--mask-percent: Input should be greater than 0"),
        (("--mask-percent", 100.5), "--mask-percent: Input should be less than or equal to 100"),
        (("--kernel-size", 0), "--kernel-size"),
        (("--kernel-size", 97), "square of 97 pixels does not fit into images of 96 × 96"),
        (("--size", 0, "--kernel-size", 500), "square of 500 pixels does not fit"),
        (("--leave-out", "sub-09"), "no subject sub-09"),
        (("--channels", "T2w"), "no scan has a channel T2w"),
        (("--init", "no-such-model"), "no model no-such-model"),
        (("--fill", "bright"), "--fill"),
        (("--steps", 2, "--epochs", 2), "both say how long"),
    ],
)
def test_wrong_requests(
    shell: Shell, cohort: Path, tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    words = ("pretrain", cohort, "--out", tmp_path / "deep" / "run", "--preset", "quick", *words)
    assert said.lower() in refused(shell, tmp_path, *words).lower()


def test_squares_larger_than_a_leg(shell: Shell, cohort: Path, tmp_path: Path) -> None:
    """Whole slices would hold this square, single legs do not: found when they are cut."""
    words = ("pretrain", cohort, "--out", tmp_path / "run", "--preset", "quick", "--size", 0)
    result = shell(*words, "--kernel-size", 120)
    assert result.exit_code == 2
    assert "square of 120 pixels does not fit" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_folders_without_scans(shell: Shell, cohort: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for folders in ([empty], [cohort, empty]):
        words = ("pretrain", *folders, "--out", tmp_path / "run")
        assert "holds no scans" in refused(shell, tmp_path, *words)
    missing = ("pretrain", tmp_path / "missing", "--out", tmp_path / "run")
    assert "does not exist" in refused(shell, tmp_path, *missing)


def test_only_broken_scans(shell: Shell, tmp_path: Path) -> None:
    voxels = np.zeros((9, 9, 3), np.float32)
    (tmp_path / "scans").mkdir()
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "scans" / "black.nii.gz")
    words = ("pretrain", tmp_path / "scans", "--out", tmp_path / "run", *LITTLE)
    result = shell(*words)
    assert result.exit_code == 2
    assert "black.nii.gz" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_a_model_of_another_width_or_depth(
    shell: Shell, cohort: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model(tmp_path / "small.safetensors")
    words = ("--out", tmp_path / "run", "--init", model, "--width", 8, "--depth", 2)
    for action in ("pretrain", "finetune"):
        sentence = refused(shell, tmp_path, action, cohort, *words)
        assert "width 4 instead of 8 and depth 1 instead of 2" in sentence


# --- comparing two runs


@pytest.fixture(scope="module")
def two_runs(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    from click.testing import CliRunner

    from napari_ssl_muscle.cli import main

    folder = tmp_path_factory.mktemp("runs")
    for name, more in (("one", ()), ("two", ("--no-mask-channel", "--mask-percent", 20))):
        words = ["pretrain", cohort, "--out", folder / name, *LITTLE, *more]
        assert CliRunner().invoke(main, [str(word) for word in words]).exit_code == 0
    return folder / "one", folder / "two"


def test_two_runs_are_compared_on_the_same_masks(
    shell: Shell, cohort: Path, two_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    words = ("compare-reconstructions", *two_runs, "--cohort", cohort, "--out", tmp_path / "c")
    result = shell(*words, "--slices", 3)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "c" / "reconstructions.json").read_text(encoding="utf-8"))
    assert set(content["masked_error"]) == {"one", "two"}
    assert content["pretext"]["mask_percent"] == 75
    assert {image["case"] for image in content["images"]} == {
        "sub-01_ses-01",
        "sub-02_ses-01",
        "sub-03_ses-01",
    }
    for name in ("one", "two"):
        weights = [image["masked_pixels"] for image in content["images"]]
        errors = [image["masked_error"][name] for image in content["images"]]
        assert content["masked_error"][name] == pytest.approx(np.average(errors, weights=weights))
        assert f"{content['masked_error'][name]:.4f}" in result.stdout.splitlines()[-3]
    assert (tmp_path / "c" / "reconstructions.png").is_file()
    assert "learned from scans of sub-01, sub-02, sub-03" in result.stderr
    # The same again, and refused unless replacing is allowed.
    assert "exist already" in refused(shell, tmp_path, *words, "--slices", 3)
    first = (tmp_path / "c" / "reconstructions.json").read_bytes()
    assert shell(*words, "--slices", 3, "--overwrite").exit_code == 0
    assert (tmp_path / "c" / "reconstructions.json").read_bytes() == first


def test_runs_that_do_not_compare(
    shell: Shell,
    cohort: Path,
    two_runs: tuple[Path, Path],
    make_model: Callable[..., Path],
    tmp_path: Path,
) -> None:
    one, _ = two_runs
    model = make_model(tmp_path / "muscles.safetensors")
    coarse = tmp_path / "coarse"
    result = shell("pretrain", cohort, "--out", coarse, *LITTLE, "--spacing", 3)
    assert result.exit_code == 0, result.output
    more = ("--cohort", cohort, "--out", tmp_path / "c")
    for second, said in ((model, "is no pretraining"), (coarse, "spacing 2.5 and 3.0")):
        words = ("compare-reconstructions", one, second, *more)
        assert said in refused(shell, tmp_path, *words)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "finished run" in refused(shell, tmp_path, "compare-reconstructions", one, empty, *more)
    shutil.rmtree(empty)
