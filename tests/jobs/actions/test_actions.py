"""What each action leaves behind, from the shell and as a job."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import Result

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.provenance import Provenance
from napari_ssl_muscle.jobs.job_file import read_job
from napari_ssl_muscle.jobs.record import origin_of_file, record_labels
from napari_ssl_muscle.jobs.settings import FinetuneJob, SegmentJob
from napari_ssl_muscle.learning.events import (
    Event,
    Finished,
    Note,
    Progress,
    Started,
    Stopped,
    from_line,
)
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import default_table, read_table
from napari_ssl_muscle.scans.split import read_split
from napari_ssl_muscle.scans.volume import save_label_map

Shell = Callable[..., Result]

TINY = ("--preset", "quick", "--width", 4, "--depth", 1, "--threads", 1, "--no-augment")


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def notes(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Note))


# --- segment


def test_a_segmented_scan_has_its_grid_its_tables_and_a_record(
    shell: Shell, scan: Path, model: Path, tmp_path: Path
) -> None:
    result = shell("segment", scan, "--model", model, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    label_map = tmp_path / "sub-01_ses-01_T1w_dseg.nii.gz"
    assert result.stdout.splitlines() == [str(label_map)]
    image, source = nib.load(label_map), nib.load(scan)
    assert image.shape == source.shape
    np.testing.assert_array_equal(image.affine, source.affine)
    assert len(np.unique(voxels(label_map))) > 2
    for ending in (".tsv", ".label"):
        assert len(read_table(tmp_path / f"sub-01_ses-01_T1w_dseg{ending}").muscles) == 6
    record = json.loads((tmp_path / "segment.json").read_text(encoding="utf-8"))
    entry = record["scans"][label_map.name]
    assert record["models"][entry["model_hash"]]["name"] == "plain"
    assert {"napari-ssl-muscle", "torch"} <= set(entry["versions"])
    assert entry["islands_dropped"]
    removed = "Islands of" in result.stderr or "removed as islands" in result.stderr
    assert removed == (entry["islands_ml"] > 0)
    assert not list(tmp_path.glob(".part-*"))


def test_a_cohort_is_segmented_case_by_case_with_progress_over_all_slices(
    cohort: Path, model: Path, tmp_path: Path
) -> None:
    events: list[Event] = []
    result = run_job(SegmentJob(scans=[cohort], model=str(model), out=tmp_path), events.append)
    names = [f"sub-0{number}_ses-01_dseg.nii.gz" for number in (1, 2, 3)]
    assert [Path(file).name for file in result["files"]] == names
    assert isinstance(events[0], Started)
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 18)
    assert {event.total for event in events if isinstance(event, Progress)} == {18}
    assert isinstance(events[-1], Finished)


def test_scans_of_one_name_are_saved_under_names_that_say_whose_they_are(
    scan: Path, model: Path, tmp_path: Path
) -> None:
    files = [tmp_path / patient / "water.nii.gz" for patient in ("p001", "p002")]
    for file in files:
        file.parent.mkdir()
        shutil.copy(scan, file)
    out = tmp_path / "out"
    result = run_job(SegmentJob(scans=files, model=str(model), out=out))
    names = ["p001_water_dseg.nii.gz", "p002_water_dseg.nii.gz"]
    assert [Path(file).name for file in result["files"]] == names
    # Beside the scan it is the scan's own, by which it is found again.
    beside = run_job(SegmentJob(scans=files[:1], model=str(model), out=files[0].parent))
    assert beside["files"] == [str(files[0].with_name("water_dseg.nii.gz"))]
    with pytest.raises(BadInput, match="more than once"):
        run_job(SegmentJob(scans=files[:1] * 2, model=str(model), out=out, overwrite=True))


def test_stopping_keeps_whole_scans_only(cohort: Path, model: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    first = tmp_path / "sub-01_ses-01_dseg.nii.gz"
    result = run_job(
        SegmentJob(scans=[cohort], model=str(model), out=tmp_path), events.append, first.exists
    )
    assert events[-1] == Stopped(result=result)
    assert result["files"] == [str(first)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "segment.json",
        "sub-01_ses-01_dseg.label",
        "sub-01_ses-01_dseg.nii.gz",
        "sub-01_ses-01_dseg.tsv",
    ]


def test_a_stopped_segmentation_goes_on_with_what_is_missing(
    cohort: Path, model: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = out / "sub-01_ses-01_dseg.nii.gz"
    job = SegmentJob(scans=[cohort], model=str(model), out=out)
    run_job(job, stop=first.exists)
    before = first.stat().st_mtime_ns
    with pytest.raises(BadInput, match="sub-01_ses-01_dseg"):
        run_job(job)
    job = job.model_copy(update={"resume": True})
    events: list[Event] = []
    result = run_job(job, events.append)
    assert [Path(file).name[:6] for file in result["files"]] == ["sub-02", "sub-03"]
    assert first.stat().st_mtime_ns == before
    assert "1 of 3 label maps are there already" in notes(events)
    assert run_job(job)["files"] == []
    # Those of another model are none of this run.
    other = make_model(tmp_path / "other.safetensors", name="other")
    with pytest.raises(BadInput, match="sub-01_ses-01_dseg"):
        run_job(job.model_copy(update={"model": str(other)}))


def test_scans_of_a_folder_without_the_model_s_channel_are_left_out_and_said(
    cohort: Path, model: Path, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(cohort, mixed)
    (other,) = (mixed / "sub-02").rglob("*.nii.gz")
    other.rename(other.with_name(other.name.replace("T1w", "T2w")))
    events: list[Event] = []
    out = tmp_path / "out"
    result = run_job(SegmentJob(scans=[mixed], model=str(model), out=out), events.append)
    assert len(result["files"]) == 2
    assert "Left out: The model plain was trained on T1w" in notes(events)


def test_the_record_says_whose_a_label_map_is_and_measures_take_it_over(
    shell: Shell, scan: Path, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    for name in ("IM1", "IM2"):
        shutil.copy(scan, folder / f"{name}.nii.gz")
    table = "scan\tsubject\tsession\tchannel\n" + "".join(
        f"IM{number}\tP1\t{number}\tT1w\n" for number in (1, 2)
    )
    (folder / "subjects.tsv").write_text(table)
    out = tmp_path / "out"
    assert shell("segment", folder, "--model", model, "--out", out).exit_code == 0
    done = shell("measure", out, "--out", tmp_path / "figures")
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "figures" / "measures.csv").read_text().splitlines()[1:]
    assert {tuple(line.split(",")[:3]) for line in lines} == {
        ("P1", "1", "IM1"),
        ("P1", "2", "IM2"),
    }


def test_one_broken_scan_does_not_spoil_the_others(scan: Path, model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 2), np.float32), np.eye(4)), broken)
    job = SegmentJob(scans=[broken, scan], model=str(model), out=tmp_path / "out")
    with pytest.raises(BadInput, match=r"broken\.nii\.gz.*the other scans are segmented"):
        run_job(job)
    assert (tmp_path / "out" / "sub-01_ses-01_T1w_dseg.nii.gz").is_file()
    assert not list((tmp_path / "out").glob("broken*"))


def test_label_maps_are_replaced_where_that_is_asked_for(
    shell: Shell, scan: Path, model: Path, tmp_path: Path
) -> None:
    words = ("segment", scan, "--model", model, "--out", tmp_path)
    assert shell(*words).exit_code == 0
    label_map = tmp_path / "sub-01_ses-01_T1w_dseg.nii.gz"
    before = label_map.stat().st_ino
    assert shell(*words).exit_code == 2
    label_map.chmod(0o640)
    assert shell(*words, "--overwrite").exit_code == 0
    assert voxels(label_map).shape == voxels(scan).shape
    assert label_map.stat().st_ino != before
    assert label_map.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("touched", ["drawn before", "corrected", "map", ".label", ".tsv"])
def test_overwrite_replaces_only_what_a_model_made_here(
    shell: Shell, scan: Path, model: Path, tmp_path: Path, touched: str
) -> None:
    words = ("segment", scan, "--model", model, "--out", tmp_path, "--overwrite")
    label_map = tmp_path / "sub-01_ses-01_T1w_dseg.nii.gz"
    if touched == "drawn before":
        geometry = Geometry((2, 2, 2), np.eye(4))
        save_label_map(label_map, np.ones((2, 2, 2), np.uint8), geometry, default_table("thigh"))
        culprit = label_map
    else:
        assert shell(*words).exit_code == 0
        culprit = label_map
        if touched == "corrected":
            record_labels(label_map, origin_of_file(label_map)[0], True)
        elif touched == "map":
            label_map.write_bytes(label_map.read_bytes() + b" ")
        else:
            culprit = label_map.with_name(f"sub-01_ses-01_T1w_dseg{touched}")
            culprit.write_text(culprit.read_text() + "\n")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    result = shell(*words)
    assert result.exit_code == 2
    assert f"{culprit} is not as a model has made it" in result.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_label_map_that_is_drawn_during_a_segmentation_is_kept(
    scan: Path, model: Path, tmp_path: Path
) -> None:
    label_map = tmp_path / "sub-01_ses-01_T1w_dseg.nii.gz"

    def draw(event: Event) -> None:
        label_map.write_bytes(b"drawn by hand")

    with pytest.raises(BadInput, match="not as a model has made it"):
        run_job(SegmentJob(scans=[scan], model=str(model), out=tmp_path), draw)
    assert label_map.read_bytes() == b"drawn by hand"


def test_a_chosen_volume_of_a_4d_scan(
    shell: Shell, scan: Path, model: Path, tmp_path: Path
) -> None:
    image = nib.load(scan)
    twice = np.stack([voxels(scan)[::-1], voxels(scan)], axis=-1)
    nib.save(nib.Nifti1Image(twice, image.affine), tmp_path / "echoes.nii.gz")
    for path, more in ((scan, ()), (tmp_path / "echoes.nii.gz", ("--volume", 1))):
        done = shell("segment", path, "--model", model, "--out", tmp_path, "--threads", 1, *more)
        assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(
        voxels(tmp_path / "echoes_dseg.nii.gz"), voxels(tmp_path / f"{scan.name[:-7]}_dseg.nii.gz")
    )


def test_a_subject_of_the_training_is_pointed_out(
    make_model: Callable[..., Path], cohort: Path, scan: Path, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "seen.safetensors", training_subjects=["sub-01"])
    for scans, out in (([cohort], "one"), ([scan], "two")):
        events: list[Event] = []
        run_job(SegmentJob(scans=scans, model=str(model), out=tmp_path / out), events.append)
        assert notes(events).count("trained on a subject of this name") == 1


def test_a_model_of_nameless_images_takes_any_single_channel(
    make_model: Callable[..., Path], cohort: Path, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "any.safetensors", channels=["image"])
    result = run_job(SegmentJob(scans=[cohort], model=str(model), out=tmp_path / "out"))
    assert len(result["files"]) == 3


def test_a_channel_can_be_chosen_against_the_card(
    make_model: Callable[..., Path], cohort: Path, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "water.safetensors", channels=["water"])
    job = SegmentJob(scans=[cohort], model=str(model), out=tmp_path / "out", channel="T1w")
    assert len(run_job(job)["files"]) == 3


def test_several_channels_are_stacked_in_the_models_order(
    make_model: Callable[..., Path], scan: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "raw"
    (folder / "imagesTs").mkdir(parents=True)
    image = nib.load(scan)
    for number, stored in (("0000", voxels(scan)), ("0001", voxels(scan)[::-1])):
        nib.save(nib.Nifti1Image(stored, image.affine), folder / "imagesTs" / f"a_{number}.nii.gz")
    found = []
    for channels in (["0000", "0001"], ["0001", "0000"]):
        model = make_model(tmp_path / "two.safetensors", in_channels=2, channels=channels)
        out = tmp_path / channels[0]
        run_job(SegmentJob(scans=[folder], model=str(model), out=out))
        found.append(voxels(out / "a_dseg.nii.gz"))
    assert not np.array_equal(*found)


# --- finetune


def test_subjects_are_set_apart_and_the_split_travels_with_the_model(
    shell: Shell, cohort: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = shell("finetune", cohort, "--out", run, "--steps", 2, *TINY)
    assert result.exit_code == 0, result.output
    split = read_split(run / "split.json")
    assert sorted((*split.train, *split.validation, *split.test)) == ["sub-01", "sub-02", "sub-03"]
    card = read_card(run / "model.safetensors")
    assert card.split_hash == split.hash
    assert not set(split.test) & set(card.training_subjects)
    assert card.channels == ["T1w"]
    assert not card.leaking
    assert str(run / "model.safetensors") in result.stdout
    kinds = [from_line(line).kind for line in (run / "events.jsonl").read_text().splitlines()]
    assert kinds[-1] == "finished"
    job = read_job(run / "job.json")
    assert isinstance(job, FinetuneJob)
    assert (job.cohort, job.steps) == (cohort, 2)


def test_the_job_of_a_run_repeats_it(shell: Shell, cohort: Path, tmp_path: Path) -> None:
    assert shell("finetune", cohort, "--out", tmp_path / "a", "--steps", 3, *TINY).exit_code == 0
    again = shell("run", tmp_path / "a" / "job.json", "--out", tmp_path / "b")
    assert again.exit_code == 0, again.output
    import safetensors.torch

    first, second = (
        safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in "ab"
    )
    assert all((first[name] == second[name]).all() for name in first)


def test_a_stopped_run_is_continued_to_the_same_weights(cohort: Path, tmp_path: Path) -> None:
    job = FinetuneJob.model_validate(
        {
            "cohort": cohort,
            "out": tmp_path / "whole",
            "preset": "quick",
            "width": 4,
            "depth": 1,
            "threads": 1,
            "steps": 6,
            "validate_every": 2,
        }
    )
    run_job(job)
    parts = job.model_copy(update={"out": tmp_path / "parts"})
    events: list[Event] = []
    checkpoint = tmp_path / "parts" / "checkpoint.safetensors"
    run_job(parts, events.append, checkpoint.exists)
    assert isinstance(events[-1], Stopped)
    result = run_job(parts.model_copy(update={"resume": True}))
    import safetensors.torch

    first, second = (
        safetensors.torch.load_file(path)
        for path in (tmp_path / "whole" / "model.safetensors", Path(result["model"]))
    )
    assert all((first[name] == second[name]).all() for name in first)


@pytest.mark.parametrize(
    ("words", "said", "leaking"),
    [
        (("--train-on", "sub-01,sub-02"), "nothing was set apart", False),
        (("--split", "none"), "every labelled slice trained", False),
        (("--split", "slice"), "LEAKING", True),
    ],
)
def test_what_was_set_apart_is_said_and_on_the_card(
    shell: Shell, cohort: Path, tmp_path: Path, words: tuple[str, ...], said: str, leaking: bool
) -> None:
    run = tmp_path / "run"
    result = shell("finetune", cohort, "--out", run, "--steps", 2, *TINY, *words)
    assert result.exit_code == 0, result.output
    assert said in result.stderr
    card = read_card(run / "model.safetensors")
    assert said in card.dice_note
    assert card.leaking == leaking
    assert (run / "split.json").exists() == (words[1] == "slice")


def test_a_split_of_an_earlier_run_is_kept(shell: Shell, cohort: Path, tmp_path: Path) -> None:
    words = ("finetune", cohort, "--steps", 1, *TINY)
    assert shell(*words, "--out", tmp_path / "a", "--split-seed", 3).exit_code == 0
    split = tmp_path / "a" / "split.json"
    again = shell(*words, "--out", tmp_path / "b", "--split-file", split, "--seed", 5)
    assert again.exit_code == 0, again.output
    assert (tmp_path / "b" / "split.json").read_bytes() == split.read_bytes()


def test_a_model_to_start_from_brings_its_network_and_slices(
    shell: Shell, cohort: Path, model: Path, tmp_path: Path
) -> None:
    words = ("finetune", cohort, "--steps", 1, "--preset", "quick", "--init", model)
    result = shell(*words, "--out", tmp_path / "run", "--margin", 3)
    assert result.exit_code == 0, result.output
    card, before = read_card(tmp_path / "run" / "model.safetensors"), read_card(model)
    assert card.network == before.network
    assert card.slices == before.slices.model_copy(update={"margin": 3})
    assert "width 4, depth 1" in result.stderr


def test_only_chosen_muscles_are_learned(shell: Shell, cohort: Path, tmp_path: Path) -> None:
    words = ("finetune", cohort, "--out", tmp_path / "run", "--steps", 1, *TINY)
    assert shell(*words, "--muscles", "sartorius,VL").exit_code == 0
    card = read_card(tmp_path / "run" / "model.safetensors")
    assert card.table.names == ("sartorius", "vastus lateralis")
    assert card.table.values == (5, 1)


# --- evaluate, measure


def test_an_evaluation_knows_which_model_made_the_predictions(
    shell: Shell, make_model: Callable[..., Path], cohort: Path, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "m.safetensors", training_subjects=["sub-02"], leaking=True)
    assert shell("segment", cohort, "--model", model, "--out", tmp_path / "p").exit_code == 0
    result = shell("evaluate", tmp_path / "p", cohort, "--out", tmp_path / "e")
    assert result.exit_code == 0, result.output
    assert "LEAKING" in result.stdout
    report = json.loads((tmp_path / "e" / "evaluation.json").read_text(encoding="utf-8"))
    assert report["provenance"]["model"] == "m"
    trained = {case["subject"]: case["training_subject"] for case in report["cases"]}
    assert sorted(trained.values()) == [False, False, True]


def test_tables_carry_warnings_and_have_no_lengths_without_a_voxel_size(
    shell: Shell, tmp_path: Path
) -> None:
    labels = np.zeros((20, 20, 4), np.uint8)
    labels[5:15, 5:15, 1:3] = 1
    file = tmp_path / "leg_dseg.nii.gz"
    nib.save(nib.Nifti1Image(labels, None), file)
    origin = Provenance(model="m", model_hash="a", unlike_training=("its contrast is far",))
    record_labels(file, origin, corrected=False)

    def tables(name: str, *size: str) -> list[dict[str, str]]:
        found = []
        for action, given in (("measure", [file]), ("evaluate", [file, file])):
            out = tmp_path / name / action
            result = shell(action, *given, "--out", out, *size)
            assert result.exit_code == 0, result.output
            assert "unlike the training scans: its contrast is far" in result.stdout
            csv_file = out / {"measure": "measures.csv"}.get(action, "evaluation.csv")
            found.append(next(csv.DictReader(csv_file.read_text(encoding="utf-8").splitlines())))
        return found

    measured, evaluated = tables("silent")
    assert (measured["volume_ml"], measured["voxels"]) == ("", "200")
    assert (evaluated["volume_pred_ml"], evaluated["hd95_mm"]) == ("", "")
    assert float(evaluated["dice"]) == 1
    for row in measured, evaluated:
        assert "size of a voxel is not known" in row["notes"]
        assert row["unlike_training"] == "its contrast is far"
    measured, evaluated = tables("told", "--spacing", "1,2,5")
    assert float(measured["volume_ml"]) == float(evaluated["volume_pred_ml"]) == 2
    assert "entered by the user" in measured["notes"]
    assert "spacing" in shell("measure", file, "--out", tmp_path, "--spacing", "1,2").stderr


def test_predictions_of_several_models_are_not_called_one_models(
    shell: Shell, make_model: Callable[..., Path], cohort: Path, tmp_path: Path
) -> None:
    one = make_model(tmp_path / "one.safetensors")
    two = make_model(tmp_path / "two.safetensors", leaking=True)
    for subject, model in (("sub-01", one), ("sub-02", two)):
        scan = next((cohort / subject).rglob("*.nii.gz"))
        assert shell("segment", scan, "--model", model, "--out", tmp_path / "p").exit_code == 0
    result = shell("evaluate", tmp_path / "p", cohort, "--out", tmp_path / "e")
    assert result.exit_code == 0, result.output
    assert "2 different models" in result.stdout
    assert "LEAKING" in result.stdout


def test_a_perfect_prediction_scores_one(shell: Shell, labels: Path, tmp_path: Path) -> None:
    result = shell("evaluate", labels, labels, "--out", tmp_path / "e")
    assert result.exit_code == 0, result.output
    assert "Batch-aggregate Dice (batches of 10 slices): foreground 1.000" in result.stdout
    rows = (tmp_path / "e" / "evaluation.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 7


def test_volumes_of_the_phantom_are_its_true_ones(
    shell: Shell, cohort: Path, tmp_path: Path
) -> None:
    result = shell("measure", cohort / "derivatives", "--out", tmp_path / "m")
    assert result.exit_code == 0, result.output
    import pandas as pd

    found = pd.read_csv(tmp_path / "m" / "measures.csv")
    true = pd.read_csv(cohort / "derivatives" / "labels" / "true_volumes.tsv", sep="\t")
    true = true.rename(columns={"participant_id": "subject"})
    both = found.merge(true, on=["subject", "muscle", "side"], suffixes=("", "_true"))
    assert len(both) == len(true) == len(found)
    np.testing.assert_allclose(both["volume_ml"], both["volume_ml_true"], rtol=1e-3)
    assert str(tmp_path / "m" / "cross_sections.csv") in result.stdout
