"""Fine-tuning on a study's accepted slices, and comparing models on those that it holds out."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from pydantic import ValidationError

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cli_options import arguments
from napari_ssl_muscle.jobs.settings import CompareJob, FinetuneJob
from napari_ssl_muscle.jobs.training_data.accepted import study_case
from napari_ssl_muscle.learning import finetune as learning
from napari_ssl_muscle.learning.data.image_cache import ImageStore
from napari_ssl_muscle.learning.data.validation_split import Holdout
from napari_ssl_muscle.learning.events import Event, Note
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.cohort import open_cohort
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable, default_table
from napari_ssl_muscle.scans.split import read_split
from napari_ssl_muscle.scans.volume import open_label_map
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.study.training_cases import training_cases

Shell = Callable[..., Result]
Slices = set[tuple[str, int]]

TINY: dict[str, Any] = {
    "preset": "quick",
    "width": 4,
    "depth": 1,
    "threads": 1,
    "augment": False,
    "steps": 1,
}
DEPTH = 6


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    made = Study.create(tmp_path / "study", default_table("thigh"))
    yield made
    made.close()


def truth(cohort: Path, number: int) -> np.ndarray:
    name = f"sub-0{number}_ses-01"
    return open_label_map(next(cohort.rglob(f"{name}_dseg.nii.gz"))).read()


def scan_of(cohort: Path, number: int) -> Path:
    return next(cohort.rglob(f"sub-0{number}_ses-01_T1w.nii.gz"))


def accept(study: Study, case: str, labels: np.ndarray, *slices: int) -> None:
    study.set_states(case, dict.fromkeys(slices, "accepted"))
    study.save_labels(case, labels)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Slices]:
    """Return what every training from now on uses, as pairs of case and slice."""
    seen: list[Slices] = []
    real = learning.SegmentationTask

    def spy(store: ImageStore, chosen: Holdout, recipe: Recipe) -> Any:
        items = (*chosen.training, *chosen.validation)
        seen.append({(store.series[i.series].case, i.z) for i in items})
        return real(store, chosen, recipe)

    monkeypatch.setattr(learning, "SegmentationTask", spy)
    return seen


def finetune(study: Study, out: Path, **settings: Any) -> list[Event]:
    events: list[Event] = []
    run_job(
        FinetuneJob.model_validate({"study": study.folder, "out": out, **TINY, **settings}),
        events.append,
    )
    return events


def notes(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Note))


@pytest.mark.parametrize("beside_cohort", [False, True])
def test_however_often_it_is_repeated_a_held_out_slice_never_trains(
    study: Study, cohort: Path, tmp_path: Path, trained: list[Slices], beside_cohort: bool
) -> None:
    """The cohort has labels of the very same slices, which must not train either."""
    settings: dict[str, Any] = {"cohort": cohort, "split": "none"} if beside_cohort else {}
    cases = {}
    for number in (1, 2, 3):
        # Under another name, as people copy files about, and one of them unpacked.
        copy = tmp_path / f"copy-{number}.nii{'' if number == 2 else '.gz'}"
        if number == 2:
            copy.write_bytes(gzip.decompress(scan_of(cohort, number).read_bytes()))
        else:
            shutil.copy(scan_of(cohort, number), copy)
        cases[number] = study.add_scan(copy)
    random = np.random.default_rng(0)
    ever_held_out: Slices = set()
    for turn in range(3):
        for number, case in cases.items():
            accept(study, case, truth(cohort, number), *random.permutation(DEPTH)[:3].tolist())
        for number, case in cases.items():
            for z in study.held_out(case):  # corrected and accepted again
                study.set_states(case, {z: "touched"})
                if turn % 2:
                    study.set_states(case, {z: "accepted"})
            study.save_labels(case, truth(cohort, number))
            name = f"sub-0{number}_ses-01" if beside_cohort else case
            ever_held_out |= {(name, z) for z in study.held_out(case)}
        before = {case: study.held_out(case) for case in cases.values()}
        study.close()
        study = Study.open(study.folder)  # the next day
        assert {case: study.held_out(case) for case in cases.values()} == before
        run = study.next_run()
        finetune(study, run, **settings)
        settings["init"] = str(run / "model.safetensors")  # the new model was kept
        assert ever_held_out
        assert trained[-1]
        assert not ever_held_out & trained[-1]
    assert [path.name for path in sorted((study.folder / "runs").iterdir())] == [
        "001-finetune",
        "002-finetune",
        "003-finetune",
    ]
    assert len(trained) == 3
    study.close()
    if beside_cohort:  # everything else that the cohort labels does train
        everything = {
            (f"sub-0{n}_ses-01", z)
            for n in cases
            for z in np.flatnonzero(truth(cohort, n).any(axis=(1, 2))).tolist()
        }
        assert trained[-1] == everything - ever_held_out


def test_only_slices_that_are_accepted_now_train(
    study: Study, cohort: Path, tmp_path: Path, trained: list[Slices]
) -> None:
    case = study.add_scan(scan_of(cohort, 1))
    labels = truth(cohort, 1)
    labels[4] = 0
    study.set_states(case, {0: "touched", 4: "accepted as empty"})
    accept(study, case, labels, 1, 2)
    study.set_states(case, {1: "touched"})  # its label is still in the file
    events = finetune(study, tmp_path / "run")
    assert trained == [{(case, 2), (case, 4)}]
    assert "2 accepted slices train, 0 are held out" in notes(events)


def test_a_slice_that_was_accepted_as_empty_is_held_out_like_any_other(
    study: Study, cohort: Path, tmp_path: Path, trained: list[Slices]
) -> None:
    case = study.add_scan(scan_of(cohort, 1))
    study.set_states(case, {0: "accepted", 1: "accepted", 2: "accepted"})
    study.set_states(case, {3: "accepted as empty"})
    study.save_labels(case, truth(cohort, 1))
    assert study.held_out(case) == {3}
    finetune(study, tmp_path / "run")
    assert trained == [{(case, 0), (case, 1), (case, 2)}]


def test_an_accepted_slice_without_a_label_is_pointed_out(
    study: Study, cohort: Path, tmp_path: Path, trained: list[Slices]
) -> None:
    case = study.add_scan(scan_of(cohort, 1))
    labels = truth(cohort, 1)
    labels[3] = 0
    accept(study, case, labels, 2, 3)
    assert "without a saved label, so not used: slice 3" in notes(finetune(study, tmp_path / "run"))
    assert trained == [{(case, 2)}]


def test_accepted_slices_take_the_place_of_the_cohorts_labels(
    study: Study, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = study.add_scan(scan_of(cohort, 1))
    corrected = np.where(truth(cohort, 1) > 0, 5, 0)  # all sartorius
    accept(study, case, corrected, 2)
    found: dict[tuple[str, int], list[set[int]]] = {}
    real = learning.SegmentationTask

    def spy(store: ImageStore, chosen: Holdout, recipe: Recipe) -> Any:
        for item in chosen.training:
            target = store.targets([item], (64, 64)).numpy()
            key = store.series[item.series].case, item.z
            found.setdefault(key, []).append(set(np.unique(target[target < 255]).tolist()))
        return real(store, chosen, recipe)

    monkeypatch.setattr(learning, "SegmentationTask", spy)
    finetune(study, tmp_path / "run", cohort=cohort, split="none", crop="none")
    assert found["sub-01_ses-01", 2] == [{0, 5}]
    assert len(found["sub-01_ses-01", 1]) == 1
    assert found["sub-01_ses-01", 1][0] > {0, 5}


def test_values_of_another_muscle_table_are_translated(study: Study, cohort: Path) -> None:
    case = study.add_scan(scan_of(cohort, 1))
    labels = truth(cohort, 1)
    accept(study, case, labels, 1, 2)
    (found,) = training_cases(study)
    wanted = MuscleTable((Muscle(40, "VL"), Muscle(50, "sartorius")))
    made = study_case(found, study.table, wanted)
    assert made.labels is not None
    values = made.labels.read()
    one = study.table.by_name("vastus lateralis").value
    five = study.table.by_name("sartorius").value
    np.testing.assert_array_equal(values[1] == 40, labels[1] == one)
    np.testing.assert_array_equal(values[1] == 50, labels[1] == five)
    assert set(np.unique(values)) == {0, 40, 50}


def test_a_value_outside_the_studys_table_is_refused(
    study: Study, cohort: Path, tmp_path: Path
) -> None:
    case = study.add_scan(scan_of(cohort, 1))
    accept(study, case, np.full_like(truth(cohort, 1), 99), 1)
    with pytest.raises(BadInput, match="holds the label values 99"):
        finetune(study, tmp_path / "run")


def test_muscles_that_the_study_does_not_know_are_not_learned_as_background(
    cohort: Path, tmp_path: Path
) -> None:
    study = Study.create(tmp_path / "small", default_table("thigh").select(["VL", "VM"]))
    labels = truth(cohort, 1)
    accept(study, study.add_scan(scan_of(cohort, 1)), np.where(labels == 1, 1, 0), 2)
    events = finetune(study, tmp_path / "run", cohort=cohort, split="none")
    assert read_card(tmp_path / "run" / "model.safetensors").table.names == study.table.names
    assert "does not know it: sartorius" in notes(events)
    with pytest.raises(BadInput, match="does not know sartorius"):
        finetune(study, tmp_path / "other", cohort=cohort, muscles=["VL", "sartorius"])


def test_a_model_goes_on_with_its_own_muscles_and_channel(
    study: Study, cohort: Path, tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    few = default_table("thigh").select(["sartorius", "VL"])
    model = make_model(tmp_path / "few.safetensors", muscles=few.to_rows(), channels=["water"])
    accept(study, study.add_scan(scan_of(cohort, 1)), truth(cohort, 1), 2)
    finetune(study, tmp_path / "run", init=str(model))
    card = read_card(tmp_path / "run" / "model.safetensors")
    assert (card.table.names, card.channels) == (few.names, ["water"])


def test_the_split_of_a_study_never_moves_a_subject(
    study: Study, cohort: Path, tmp_path: Path, trained: list[Slices]
) -> None:
    others = write_phantom(
        tmp_path / "others", PhantomSettings(subjects=1, sessions=1, slices=DEPTH, size=48, seed=9)
    )
    mine = study.add_scan(scan_of(others, 1), subject="me", case="me")
    accept(study, mine, truth(others, 1), 1, 2)
    finetune(study, tmp_path / "one", cohort=cohort)
    first = read_split(study.split_path)
    assert "me" in first.train
    assert len(first.validation) == len(first.test) == 1
    assert {case for case, _ in trained[0]} == {
        "me",
        *(f"{subject}_ses-01" for subject in (*first.train, *first.validation) if subject != "me"),
    }
    events = finetune(study, tmp_path / "two", cohort=cohort, split_seed=7)
    assert read_split(study.split_path) == read_split(tmp_path / "two" / "split.json") == first
    assert "set apart" not in notes(events)
    # A subject that validates goes on validating, and the person is told.
    number = int(first.validation[0][-1])
    accept(study, study.add_scan(scan_of(cohort, number)), truth(cohort, number), 3)
    events = finetune(study, tmp_path / "three", cohort=cohort)
    assert f"{first.validation[0]} is set apart by the split" in notes(events)
    assert read_split(study.split_path) == first


def test_from_the_shell(shell: Shell, study: Study, cohort: Path, model: Path) -> None:
    words = ("finetune", "--study", study.folder, "--out", study.next_run())
    tiny = ("--preset", "quick", "--threads", 1, "--steps", 1, "--init", model)
    refused = shell(*words, *tiny)
    assert refused.exit_code == 2
    assert "no accepted slice yet" in refused.stderr
    case = study.add_scan(scan_of(cohort, 1))
    accept(study, case, truth(cohort, 1), 1, 2, 3)
    compare = ("compare", model, model, "--study", study.folder, "--threads", 1, "--out")
    early = shell(*compare, study.folder / "early")
    assert early.exit_code == 0, early.output
    assert "not enough held-out slices to compare: there is none, and 4 are needed" in early.stdout
    assert not (study.folder / "early").exists()
    accept(study, case, truth(cohort, 1), 4)
    done = shell(*words, *tiny)
    assert done.exit_code == 0, done.output
    assert "3 accepted slices train, 1 are held out" in done.stderr
    run = study.folder / "runs" / "001-finetune"
    out = study.next_run("compare")
    compared = shell("compare", model, run, *compare[3:], out)
    assert compared.exit_code == 0, compared.output
    assert "1 held-out slice of 1 subject" in compared.stdout
    report = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert report["slices"] == {case: [4]}
    assert set(report["muscles"]) == set(study.table.names)
    assert (out / "comparison.csv").read_text(encoding="utf-8").count("\n") == 7


def hold_out(study: Study, case: str, labels: np.ndarray, *slices: int) -> None:
    """Accept slices such that these are the held-out ones, and nothing else is accepted after."""
    others = [z for z in range(len(labels)) if z not in slices]
    for z in slices:
        for other in others[:3]:  # every fourth first acceptance is held out
            study.set_states(case, {other: "accepted"})
        del others[:3]
        study.set_states(case, {z: "accepted"})
    assert study.held_out(case) == set(slices)
    study.save_labels(case, labels)


def test_models_are_compared_on_held_out_slices_that_are_accepted_now(
    tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    thigh = write_phantom(
        tmp_path / "long", PhantomSettings(subjects=1, sessions=1, slices=17, size=48)
    )
    study = Study.create(tmp_path / "study", default_table("thigh"))
    case = study.add_scan(scan_of(thigh, 1))
    labels = truth(thigh, 1)
    hold_out(study, case, labels, 5, 7, 9, 11)
    old = make_model(tmp_path / "plain.safetensors")
    seen = make_model(tmp_path / "seen.safetensors", training_subjects=["sub-01"])
    events: list[Event] = []
    job = CompareJob(old=str(old), new=str(seen), study=study.folder, out=tmp_path / "o", threads=1)
    result = run_job(job, events.append)
    assert result["enough"]
    assert (result["count"], result["needed"]) == (4, 4)
    assert result["better"] is None  # the same weights
    assert result["mean_dice"]["old"] == result["mean_dice"]["new"] > 0
    assert "seen was trained outside this study" in notes(events)
    # With three there are figures, and a warning instead of a better one.
    study.set_states(case, {5: "touched"})
    fewer = run_job(job.model_copy(update={"out": tmp_path / "fewer"}))
    assert (fewer["enough"], fewer["better"], fewer["count"]) == (False, None, 3)
    assert fewer["slices"] == {case: [7, 9, 11]}
    assert fewer["mean_dice"]["old"] > 0
    assert "not enough held-out slices to compare: there are 3, and 4" in fewer["text"]
    # A slice that is accepted but whose labels are not saved would count as a miss.
    labels[[7, 9]] = 0
    study.save_labels(case, labels)
    saved = run_job(job.model_copy(update={"out": tmp_path / "saved"}))
    assert saved["slices"] == {case: [11]}
    # With none there is nothing to compute.
    study.set_states(case, dict.fromkeys((7, 9, 11), "touched"))
    none = run_job(job.model_copy(update={"out": tmp_path / "none"}))
    assert (none["enough"], none["count"]) == (False, 0)
    assert "mean_dice" not in none
    assert not (tmp_path / "none").exists()
    study.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "give a COHORT, a --study, or both"),
        ({"study": "s", "train_on": ["a"]}, "--train-on chooses among the scans of a COHORT"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        FinetuneJob.model_validate({"out": "run", **settings})


def test_the_command_of_a_training_on_a_study_alone() -> None:
    job = FinetuneJob(study=Path("my study"), out=Path("run"))
    assert arguments(job) == ["finetune", "--out", "run", "--study", "my study"]


def test_an_unlabelled_scan_of_the_cohort_keeps_its_subject(
    study: Study, cohort: Path, tmp_path: Path, trained: list[Slices]
) -> None:
    folder = tmp_path / "cohort"
    shutil.copytree(cohort, folder)
    for path in folder.rglob("sub-03_ses-01_dseg.*"):
        path.unlink()
    assert len(open_cohort(folder).labelled) == 2
    accept(study, study.add_scan(scan_of(cohort, 3), subject="wrong"), truth(cohort, 3), 2)
    finetune(study, tmp_path / "run", cohort=folder, split="none")
    card = read_card(tmp_path / "run" / "model.safetensors")
    assert card.training_subjects == ["sub-01", "sub-02", "sub-03"]
    assert {z for case, z in trained[0] if case == "sub-03_ses-01"} == {2}
