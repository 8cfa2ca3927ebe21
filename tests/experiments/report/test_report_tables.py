from dataclasses import replace

import numpy as np
import pytest
from made_up_study import SUBJECTS, Study, make_plan

from napari_ssl_muscle.experiments.published.files import CHOICES, TRIALS
from napari_ssl_muscle.experiments.report.comparisons import (
    comparison_table,
    comparisons,
    labelled_table,
)
from napari_ssl_muscle.experiments.report.curves import epoch_spread, spread_table
from napari_ssl_muscle.experiments.report.grids import (
    format_cell,
    grid_table,
    mask_grid,
    winners,
    winners_table,
)
from napari_ssl_muscle.experiments.report.results import read_results
from napari_ssl_muscle.experiments.report.table import Table
from napari_ssl_muscle.experiments.report.tables import (
    DIFFERENT_SUBJECTS,
    final_table,
    muscle_table,
    published_table,
    variants_table,
)

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    plan = make_plan(["0", "1", "2", "3", "4", "final", "labelled", "6"], SEEDS)
    return read_results(Study(plan).add_all().write(tmp_path_factory.mktemp("study")))


def dice(level, subject, seed):
    """The Dice that the made-up counts have."""
    shift = 10 * SUBJECTS.index(subject) + 3 * seed
    return (round(100 * level) + shift) / (100 + shift)


def mean(level, subjects=SUBJECTS):
    return pytest.approx(np.mean([dice(level, s, seed) for s in subjects for seed in SEEDS]))


def row_of(table, first):
    (row,) = [row for row in table.rows if next(iter(row.values())) == first]
    return row


def test_final_table_has_a_column_for_each_start_and_averages_subjects(results):
    table = final_table(results)
    assert list(table.columns.values()) == ["", "Baseline", "10 %, K 16", "50 %, K 16"]
    assert row_of(table, "test")["baseline"] == mean(0.5)
    assert row_of(table, "test")["mask10-k16"] == mean(0.6)
    # In every fold the held-out slices are those of one subject.
    assert row_of(table, "validation")["baseline"] == mean(0.6, ["ben"])
    gap = row_of(table, "validation")["baseline"] - row_of(table, "test")["baseline"]
    assert row_of(table, "validation − test")["baseline"] == pytest.approx(gap)
    assert row_of(table, "test subjects")["baseline"] == 3
    apart = [np.var([dice(0.5, s, seed) for seed in SEEDS], ddof=1) for s in SUBJECTS]
    spread = row_of(table, "seeds’ standard deviation (test)")["baseline"]
    assert spread == pytest.approx(np.sqrt(np.mean(apart)))


def test_the_split_by_slice_has_a_table_of_its_own_that_says_leaking(results):
    table = final_table(results, leaking=True)
    assert "LEAKING" in table.caption
    assert row_of(table, "test")["baseline"] == mean(0.5, ["cem"])


def test_published_figures_stand_beside_ours_for_the_published_maskings_only(results):
    rows = published_table(results).rows
    assert [(row["part"], row["arm"], row["published"]) for row in rows] == [
        ("validation", "Baseline", 0.7916),
        ("validation", "10 %, K 16", 0.7923),
        ("validation", "50 %, K 16", 0.7912),
        ("test", "Baseline", 0.6226),
        ("test", "10 %, K 16", 0.6513),
        ("test", "50 %, K 16", 0.6250),
    ]
    assert rows[3]["by_slice_batch_aggregate"] == mean(0.5, ["cem"])
    assert rows[3]["by_subject_3d"] == mean(0.5)
    renamed = [replace_arm(trial, "mask50-k16", "mask25-k8") for trial in results.trials]
    other = published_table(replace(results, trials=tuple(renamed)))
    assert [row["published"] for row in other.rows if row["arm"] == "25 %, K 8"] == [None, None]


def test_columns_over_different_subjects_say_so(results):
    assert final_table(results).note == ""
    kept = [t for t in results.trials if (t.arm, t.fold) != ("mask50-k16", "test-ann")]
    table = final_table(replace(results, trials=tuple(kept)))
    assert table.note == DIFFERENT_SUBJECTS
    assert row_of(table, "test subjects")["mask50-k16"] == 2


def replace_arm(trial, old, new):
    return trial.model_copy(update={"arm": new}) if trial.arm == old else trial


def test_variants_are_scored_from_the_counts_of_all_folds(results):
    rows = {(row["variant"], row["split"]): row for row in variants_table(results).rows}
    assert rows["Per subject in 3D", "by subject"]["mask10-k16"] == mean(0.6)
    assert rows["Per slice", "by slice (LEAKING)"]["mask10-k16"] == mean(0.6, ["cem"])
    background = [row for (name, _), row in rows.items() if "with background" in name]
    assert background[0]["baseline"] > rows["Per slice", "by subject"]["baseline"]


def test_muscles_show_the_worst_single_training(results):
    row = row_of(muscle_table(results), "vastus lateralis")
    assert row["baseline"] == mean(0.5)
    assert row["baseline lowest"] == dice(0.5, "ann", 0)


def test_comparisons_pair_starts_and_numbers_of_labelled_subjects(results):
    found = comparisons(results)
    assert list(found) == [
        "all labels: 10 %, K 16",
        "all labels: 50 %, K 16",
        "1 labelled: 10 %, K 16",
        "2 labelled: 10 %, K 16",
        "Name of 6, pretext task squares: 10 %, K 16",
        "Name of 6, pretext task noise: 10 %, K 16",
    ]
    assert found["all labels: 10 %, K 16"].verdict == "helps"
    assert found["all labels: 50 %, K 16"].verdict == "equal within 0.02"
    row = row_of(comparison_table(found), "all labels: 10 %, K 16")
    assert (row["baseline"], row["pretrained"]) == (mean(0.5), mean(0.6))
    assert len(row["seed_differences"].split()) == 3
    assert row["interval_low"] < row["difference"] < row["interval_high"]


def test_one_seed_prints_a_dash_for_the_spread(tmp_path):
    study = Study(make_plan(["final"], (0,))).add_all().write(tmp_path)
    (row, _) = comparison_table(comparisons(read_results(study))).rows
    assert row["spread"] == "– | –"
    assert row["seeds_sd_baseline"] is None
    assert row["verdict"] == "no evidence either way"


def test_labelled_subjects_have_a_row_each(results):
    rows = labelled_table(results).rows
    assert [row["labelled"] for row in rows] == [1, 2]
    assert [row["baseline"] for row in rows] == [mean(0.47), mean(0.5)]


def test_a_grid_marks_what_was_chosen_and_by_how_many_folds(results):
    table = grid_table(results, "0")
    assert list(table.columns) == ["lr", "dice", "chosen"]
    assert [(row["lr"], row["chosen"]) for row in table.rows] == [("0.006", 2), ("0.002", 1)]
    assert table.rows[0]["dice"] == mean(0.6, ["ben"])
    assert table.marked == {0, 1}
    chosen = "learning rate 0.006 (2 of 3 folds); learning rate 0.002 (1 of 3 folds)"
    assert winners(results, "0") == [("", chosen)]


def test_starts_that_go_through_the_same_cells_have_a_column_each(results):
    table = grid_table(results, "3")
    assert table.columns["dice mask50-k16"] == "50 %, K 16: validation Dice"
    assert table.rows[0]["freeze"] == "Nothing fixed"
    assert row_of(table, "Encoder fixed")["dice mask10-k16"] == mean(0.65, ["ben"])
    assert table.marked == {0}


def test_an_experiment_that_chooses_nothing_is_scored_on_test_data(results):
    table = grid_table(results, "6")
    assert table.columns["dice"] == "Test Dice"
    assert [row["corruption"] for row in table.rows] == ["squares", "noise", "from scratch"]


def test_masks_and_choices_are_named_as_people_do(results):
    assert mask_grid(results)[10, 16] == mean(0.7, ["ben"])
    assert len(mask_grid(results)) == 4
    assert format_cell("mask_percent=10 kernel_size=16") == "10 % masked, K 16"
    chosen = row_of(winners_table(results), "2 Name of 2")
    assert chosen["ours"] == "10 % masked, K 16; 10 % masked, K 8"
    assert "16 pixels" in chosen["published"]


def test_spread_is_that_of_changes_in_the_second_half():
    # Half of eight: 3, 5, 4, 4 changes by 2, -1, 0; a metric may be missing in some epochs.
    values = np.array([9, 8, 7, np.nan, 6, 3, 5, 4, 4.0])
    assert epoch_spread(values) == pytest.approx(np.std([2, -1, 0], ddof=1))
    assert epoch_spread(np.array([1.0, 2.0])) is None
    assert epoch_spread(None) is None


def test_learning_curves_are_read_from_the_runs(results):
    table = spread_table(results)
    assert [row["arm"] for row in table.rows] == ["Baseline", "10 %, K 16", "50 %, K 16"]
    assert [row["trainings"] for row in table.rows] == [3 * len(SEEDS)] * 3  # folds
    assert table.rows[0]["last_loss"] == pytest.approx(2 / 60, abs=0.02)
    assert table.rows[0]["loss_spread"] > 0
    assert table.rows[0]["validation_loss_spread"] > 0
    assert table.rows[0]["dice_spread"] is None  # too few validations
    assert table.rows[0]["pretext_loss_spread"] is None  # from scratch
    assert table.rows[1]["pretext_loss_spread"] > 0


def test_a_study_that_has_just_begun_gives_empty_tables(tmp_path):
    results = read_results(Study(make_plan(["0", "final"], SEEDS)).write(tmp_path))
    assert comparisons(results) == {}
    assert winners_table(results).rows[0]["ours"] == "not finished"
    for table in (final_table(results), muscle_table(results), grid_table(results, "0")):
        assert table.cells is not None
    (tmp_path / TRIALS).unlink()
    (tmp_path / CHOICES).unlink()
    assert read_results(tmp_path).trials == ()


def test_a_table_has_the_same_numbers_as_csv_and_on_the_page():
    rows = [{"a": "x, y", "b": -0.12345, "c": 12345}, {"a": None, "b": float("nan"), "c": None}]
    table = Table("name", "Caption", {"a": "A", "b": "B", "c": "C"}, rows)
    assert table.cells == [["x, y", "−0.123", "12,345"], ["–", "–", "–"]]
    assert table.numeric == [False, True, True]
    assert table.csv.splitlines()[:2] == ["a,b,c", '"x, y",-0.12345,12345']
