import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.dice import count_slices
from napari_ssl_muscle.evaluation.muscle_metrics import CaseResult, compare
from napari_ssl_muscle.evaluation.pairing import Pair
from napari_ssl_muscle.evaluation.provenance import Provenance
from napari_ssl_muscle.evaluation.report import EvaluationReport
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable

NAMES = ("gracilis", "sartorius", "soleus")
TABLE = MuscleTable(tuple(Muscle(i, name) for i, name in enumerate(NAMES, 1)))


def case(name, hit=4, predicted=(1, 2), referred=(1, 2)):
    """Each muscle a row of 4 voxels; `hit` of them are found of the first one."""
    prediction, reference = np.zeros((2, 3, 8, 8), np.uint8)
    for label in referred:
        reference[1, 2 * label, 0:4] = label
    for label in predicted:
        prediction[1, 2 * label, 0:4] = label
    prediction[1, 2, hit:4] = 0
    return CaseResult(
        pair=Pair(name, Path(f"/somewhere/p/{name}.nii.gz"), Path(f"/somewhere/r/{name}.nii.gz")),
        muscles=tuple(compare(prediction, reference, TABLE, (10.0, 1.0, 1.0))),
        counts=count_slices(prediction, reference, TABLE.values),
        names=NAMES,
        slices_compared=3,
        slices=5,
        notes=("Only the prediction knows, so not compared: plantaris.",),
    )


def report(**provenance):
    cases = (
        case("sub-01_ses-1", hit=4),
        case("sub-01_ses-2", hit=2),  # Dice of gracilis 2/3
        case("sub-02_ses-1", predicted=(1, 3)),  # sartorius missed, soleus invented
    )
    return EvaluationReport(cases, Provenance(**provenance), ("A note.",))


def test_csv_comes_back_from_pandas_as_it_was(tmp_path):
    report(model_hash="abc", split_hash="def").write(tmp_path)
    table = pd.read_csv(tmp_path / "evaluation.csv")
    assert tuple(table.columns) == EvaluationReport.COLUMNS
    text = (tmp_path / "evaluation.csv").read_text(encoding="utf-8")
    assert text == report(model_hash="abc", split_hash="def").to_csv()
    assert len(table) == 9
    assert table["dice"].notna().sum() == 7  # soleus is absent in both of sub-01's scans
    missed = table[table["status"] == "missed"].iloc[0]
    assert (missed["subject"], missed["muscle"], missed["dice"]) == ("sub-02", "sartorius", 0)
    assert math.isinf(missed["hd95_mm"])
    assert missed["difference_ml"] == pytest.approx(-0.04)
    assert set(table["model_hash"]) == {"abc"}
    numbers = ["dice", "hd95_mm", "msd_mm", "volume_pred_ml", "difference_ml", "worst_slice"]
    pd.testing.assert_frame_equal(table[numbers], report().frame()[numbers], check_dtype=False)


def test_json_is_strict_and_infinite_distances_are_null_with_a_status(tmp_path):
    report(model="m", model_hash="abc").write(tmp_path)
    text = (tmp_path / "evaluation.json").read_text(encoding="utf-8")

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    content = json.loads(text, parse_constant=refuse)
    (missed,) = [row for row in content["rows"] if row["status"] == "missed"]
    assert missed["hd95_mm"] is None
    assert missed["dice"] == 0
    assert content["provenance"]["model_hash"] == "abc"
    assert content["provenance"]["versions"]["numpy"] == np.__version__
    assert "Dice 0" in content["rules"]["absent muscles"]["missed"]
    assert (content["cases"][0]["slices_compared"], content["cases"][0]["slices"]) == (3, 5)
    assert "/somewhere" not in text


def test_means_are_over_subjects_whose_sessions_are_averaged_first():
    summary = {entry["muscle"]: entry for entry in report().to_json()["summary"]}
    first = (1 + 2 / 3) / 2
    assert summary["gracilis"]["dice"] == pytest.approx((first + 1) / 2)
    assert summary["gracilis"]["subjects"] == 2
    assert summary["sartorius"]["dice"] == pytest.approx(0.5)
    assert (summary["sartorius"]["missed"], summary["sartorius"]["hd95_mm"]) == (1, 0)
    assert (summary["soleus"]["invented"], summary["soleus"]["absent"]) == (1, 2)
    assert (summary["soleus"]["subjects"], summary["soleus"]["dice"]) == (1, 0)
    assert summary["soleus"]["hd95_mm"] is None
    mean = report().to_json()["mean_dice"]
    assert mean["subjects"] == pytest.approx({"sub-01": (1 + 5 / 6) / 2, "sub-02": 1 / 3})


def test_training_subjects_are_marked_and_left_out_of_means():
    known = report(training_subjects=frozenset({"sub-01"}))
    rows = known.rows()
    assert [row["training_subject"] for row in rows] == [True] * 6 + [False] * 3
    assert list(known.to_json()["mean_dice"]["subjects"]) == ["sub-02"]
    text = known.to_text()
    assert "01/1 (training)" in text
    assert "Means leave out 2 case(s)" in text
    everything = report(training_subjects=frozenset({"01", "02"}))
    assert "trained on every one of these subjects" in everything.to_text()
    assert "not known whether" in report().to_text()
    assert report().rows()[0]["training_subject"] is None


def test_text_has_aligned_columns_of_muscle_by_subject():
    lines = report().to_text().splitlines()
    table = lines[1 : lines.index("")]
    assert table[0].split() == ["muscle", "01/1", "01/2", "02/1", "mean"]
    assert table[2].split() == ["sartorius", "1.000", "1.000", "missed", "0.500"]
    assert table[3].split() == ["soleus", "–", "–", "invented", "0.000"]
    assert len({len(line) for line in table}) == 1
    narrow = report().to_text(width=40).splitlines()
    assert max(len(line) for line in narrow[: narrow.index("Per muscle")]) <= 40


def test_text_says_the_rules_the_slices_and_what_was_left_out():
    text = report(leaking=True).to_text()
    for sentence in (
        "LEAKING",
        "Compared: 9 of 15 slices (those with reference labels).",
        "Absent in both: not counted",
        "(missed): Dice 0, distances infinite",
        "A note.",
        "not compared: plantaris",
    ):
        assert text.count(sentence) == 1
    assert "LEAKING" not in report().to_text()


def test_either_both_files_are_written_or_none(tmp_path):
    (tmp_path / "evaluation.json").mkdir()  # cannot be replaced by a file
    with pytest.raises(BadInput):
        report().write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]


def test_cases_with_other_muscles_have_no_common_batch_dice():
    cases = report().cases
    assert EvaluationReport(cases).batch_dice.batches == 1
    other = CaseResult(**{**vars(cases[0]), "names": ("gracilis", "sartorius", "plantaris")})
    assert EvaluationReport((*cases, other)).batch_dice is None
