"""Which trials follow from which scores, without training any."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.published.cohort import folds_of, open_labelled
from napari_ssl_muscle.experiments.published.plan import CohortSummary, Fold, Plan
from napari_ssl_muscle.experiments.published.presets import PRESETS, experiments_of
from napari_ssl_muscle.experiments.published.schedule import Schedule, schedule
from napari_ssl_muscle.experiments.published.trial import BASELINE, Trial
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings
from tests.experiments.published.conftest import toy_job

COHORT = CohortSummary(
    folder="/cohort",
    labelled_subjects=("a", "b", "c"),
    labelled_slices=30,
    subjects=3,
    images=3,
    slices=30,
    rows=64,
    columns=64,
    muscles=("sartorius",),
    channels=("image",),
    labels_hash="0",
)


def fold(tested: str) -> Fold:
    train = tuple(name for name in "abc" if name != tested)
    held_out = dict.fromkeys(train, (3, 4))
    return Fold(
        name=f"test-{tested}", unit="subject", train=train, test=(tested,), held_out=held_out
    )


SLICES = Fold(name="slices", unit="slice", train=("a:0", "b:0"), validation=("a:1",), test=("b:1",))


def plan_of(
    preset: str = "quick",
    folds: tuple[Fold, ...] = (fold("a"),),
    asked: list[int] | None = None,
    only: list[str] | None = None,
    seeds: tuple[int, ...] = (0,),
) -> Plan:
    scans = ("/more", "/still-more")
    return Plan(
        preset="quick" if preset == "quick" else "poster",
        experiments=experiments_of(preset, asked, only, scans),
        folds=folds,
        cohort=COHORT,
        scans=scans,
        base={
            "pretrain": {"mask_percent": 50.0, "kernel_size": 16, "lr": 0.1, "corruption": "s"},
            "finetune": {"lr": 0.1, "freeze": "none"},
        },
        carried=PRESETS[preset].carried,
        seeds=seeds,
        labelled_counts=(1, 2),
        threads=1,
    )


def finish(plan: Plan, better: dict[str, float]) -> Schedule:
    """Return the whole schedule; a trial scores what `better` says of its id's parts."""
    scores: dict[str, float] = {}
    while True:
        found = schedule(plan, scores)
        new = {
            trial.run: sum(gain for part, gain in better.items() if part in trial.id)
            for trial in found.trials
            if trial.kind == "finetune" and trial.run not in scores
        }
        if not new:
            return found
        scores |= new


def of(found: Schedule, key: str, arm: str | None = None) -> list[Trial]:
    return [
        trial
        for trial in found.trials
        if trial.experiment == key
        and trial.kind == "finetune"
        and (arm is None or trial.arm == arm)
    ]


@pytest.mark.parametrize(
    ("preset", "only"),
    [("quick", ["lr=0.006"]), ("poster", ["lr=1e-5", "momentum=0.9", "batch=1", "optimizer=adam"])],
)
def test_experiment_2_does_not_repeat_the_masking_of_experiment_1(
    preset: str, only: list[str]
) -> None:
    found = finish(plan_of(preset, only=only), {})
    (first,) = of(found, "1")
    assert first.run in {trial.run for trial in of(found, "2")}


def test_nothing_follows_before_the_baseline_is_scored() -> None:
    found = schedule(plan_of(), {})
    assert [trial.cell for trial in found.trials] == [{"lr": 0.006}, {"lr": 0.002}]
    assert not found.choices


def test_each_experiment_takes_the_winners_of_those_before() -> None:
    found = finish(
        plan_of(),
        {
            "0/finetune/baseline/lr=0.002": 0.5,
            "1/finetune/mask50-k16/lr=0.006": 0.5,
            "3/finetune/mask10-k16/freeze=encoder": 0.5,
            "4/finetune/mask50-k16/lr=0.006": 0.9,
        },
    )
    pretrained = {t.run: t for t in found.trials if t.kind == "pretrain"}
    assert all(trial.settings["lr"] == 0.002 for trial in of(found, "1"))
    assert all(pretrained[trial.start].settings["lr"] == 0.006 for trial in of(found, "2"))
    assert [trial.arm for trial in of(found, "2")] == ["mask50-k16", "mask10-k16"]
    assert {t.settings["freeze"] for t in of(found, "4", "mask10-k16")} == {"encoder"}
    assert {t.settings["freeze"] for t in of(found, "4", "mask50-k16")} == {"none"}
    (final,) = of(found, "final", "mask50-k16")
    assert final.settings["lr"] == 0.006
    assert final.tested
    chosen = [c for c in found.choices if c.experiment == "4" and c.arm == "mask50-k16"]
    assert [(c.cell, c.rank, c.chosen) for c in chosen] == [
        ("lr=0.006", 1, True),
        ("lr=0.002", 2, False),
    ]


def test_only_what_chooses_nothing_is_tested() -> None:
    found = finish(plan_of(asked=[4, 5, 6, 7]), {})
    tested = {trial.experiment for trial in found.trials if trial.tested}
    assert tested == {"final", "labelled", "5", "6", "7"}


def test_the_same_training_has_one_run() -> None:
    found = finish(plan_of(), {})
    (winner,) = (t for t in of(found, "0") if t.cell == {"lr": 0.006})
    assert winner.run == of(found, "final", BASELINE)[0].run
    # "Nothing frozen" is the fine-tuning that experiment 2 did.
    assert of(found, "3", "mask10-k16")[0].run == of(found, "2", "mask10-k16")[0].run
    assert max(Counter(trial.id for trial in found.trials).values()) == 1


def test_each_fold_chooses_for_itself_and_the_split_by_slice_takes_what_most_chose() -> None:
    folds = (fold("a"), fold("b"), fold("c"), SLICES)
    found = finish(
        plan_of(folds=folds),
        {"lr=0.002/test-b": 1.0, "lr=0.002/test-c": 1.0, "lr=0.006/test-a": 1.0},
    )
    rates = {t.fold: t.settings["lr"] for t in of(found, "final", BASELINE)}
    assert rates == {"test-a": 0.006, "test-b": 0.002, "test-c": 0.002, "slices": 0.002}


def test_seeds_are_averaged_before_cells_are_compared() -> None:
    better = {"lr=0.006/test-a/seed 0": 0.9, "lr=0.002/test-a": 0.5}
    found = finish(plan_of(seeds=(0, 1)), better)
    (choice,) = (c for c in found.choices if c.experiment == "0" and c.chosen)
    assert (choice.cell, choice.dice, choice.seeds) == ("lr=0.002", 0.5, 2)


def test_scratch_and_pretrained_differ_in_the_start_only() -> None:
    found = finish(plan_of(folds=(fold("a"), fold("b"))), {})
    pairs = of(found, "labelled")
    assert [len(trial.labelled) for trial in pairs] == [1, 1, 2, 2] * 2
    for scratch, pretrained in zip(pairs[::2], pairs[1::2], strict=True):
        assert scratch.settings == pretrained.settings
        assert scratch.labelled == pretrained.labelled
        assert scratch.start == "scratch" != pretrained.start
        assert scratch.settings["split"] == "none"  # no label of anybody else selects
    assert pairs[0].labelled != pairs[4].labelled


def test_the_published_grid() -> None:
    cells = {found.key: len(found.cells) for found in experiments_of("poster", None, None, ())}
    assert cells == {"0": 54, "1": 54, "2": 9, "3": 4, "4": 54, "final": 1, "labelled": 1}
    found = finish(plan_of("poster", only=["lr=1e-5", "batch=5"]), {"mask25-k32": 1.0})
    # Passed on as published, whatever is best here.
    assert {trial.arm for trial in of(found, "final")} == {BASELINE, "mask10-k16", "mask50-k16"}


def test_a_further_experiment_needs_no_more_than_the_first_three() -> None:
    keys = [found.key for found in experiments_of("quick", [5], None, ())]
    assert keys == ["0", "1", "2", "5"]


def test_more_scans_are_pretrained_on_beside_the_cohort() -> None:
    found = finish(plan_of(asked=[7]), {})
    pretrainings = {t.run: t for t in found.trials if t.kind == "pretrain"}
    starts = [t.start for t in of(found, "7") if t.start != "scratch"]
    assert [pretrainings[run].cohorts for run in starts] == [(), ("/more", "/still-more")]


@pytest.mark.parametrize(
    ("asked", "only", "sentence"),
    [
        ([9], None, "no experiment 9; there are 0 to 7"),
        ([7], None, "give their folders with --scans"),
        (None, ["lr=1"], "grid of experiment 0 would be empty: lr has the values 0.006, 0.002"),
        (None, ["colour=1"], "No experiment varies colour"),
        (None, ["lr"], "needs SETTING=VALUE"),
    ],
)
def test_wrong_grids_are_refused(
    asked: list[int] | None, only: list[str] | None, sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        experiments_of("quick", asked, only, ())


def test_few_subjects_test_in_turn_and_slices_of_the_others_select(
    toy_cohort: Path, tmp_path: Path
) -> None:
    found = open_labelled(toy_job(toy_cohort, tmp_path))
    first, second, slices = folds_of(found, by_subject=False)
    assert (first.test, first.train, first.validation) == (("sub-01",), ("sub-02",), ())
    assert second.test == ("sub-02",)
    assert {len(block) for block in first.held_out.values()} == {2}
    assert slices.leaking
    with pytest.raises(BadInput, match="at least 3 labelled subjects"):
        folds_of(found, by_subject=True)


def test_visits_of_one_person_test_together_and_count_once(
    toy_cohort: Path, tmp_path: Path
) -> None:
    for subject, name in (("01", "P01_pre"), ("01", "P01_post"), ("02", "P02_pre")):
        (image,) = toy_cohort.glob(f"sub-{subject}/*/anat/*.nii.gz")
        (labels,) = toy_cohort.glob(f"derivatives/**/sub-{subject}*dseg.nii.gz")
        shutil.copy(image, tmp_path / f"{name}.nii.gz")
        shutil.copy(labels, tmp_path / f"{name}_dseg.nii.gz")
    found = open_labelled(toy_job(tmp_path, tmp_path / "out"))
    first, second, _ = folds_of(found, by_subject=False)
    assert (first.test, first.train) == (("P01_post", "P01_pre"), ("P02_pre",))
    assert (second.test, second.train) == (("P02_pre",), ("P01_post", "P01_pre"))
    with pytest.raises(BadInput, match="has 2 "):
        folds_of(found, by_subject=True)


def test_in_few_folds_each_subject_tests_once(tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    write_phantom(cohort, PhantomSettings(subjects=3, sessions=1, slices=8, size=32), None)
    found = open_labelled(toy_job(cohort, tmp_path / "out"))
    first, second, _ = folds_of(found, by_subject=False, most=2)
    assert (first.test, first.train) == (("sub-01", "sub-03"), ("sub-02",))
    assert (second.test, second.train) == (("sub-02",), ("sub-01", "sub-03"))
