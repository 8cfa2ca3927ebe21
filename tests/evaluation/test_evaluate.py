import nibabel as nib
import numpy as np
import pytest
from label_files import lps, save

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.evaluate import evaluate_case, evaluate_cases
from napari_ssl_muscle.evaluation.pairing import Pair
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable

TABLE = MuscleTable((Muscle(1, "gracilis"), Muscle(2, "sartorius")))


def legs():
    """Two muscles in each of two legs; 6 slices, the two at the ends unlabelled."""
    labels = np.zeros((6, 12, 40), np.uint8)
    for start in (4, 24):
        labels[1:5, 3:6, start : start + 8] = 1
        labels[1:5, 7:10, start : start + 8] = 2
    return labels


def pair(folder, prediction, reference, affines=(None, None), name="case"):
    return Pair(
        name,
        save(folder / "p" / f"{name}.nii.gz", prediction, affines[0]),
        save(folder / "r" / f"{name}.nii.gz", reference, affines[1]),
    )


def test_only_slices_with_reference_labels_are_compared_unless_asked(tmp_path):
    prediction = legs()
    prediction[0, 3:6, 4:12] = 1  # in a slice that nobody labelled
    files = pair(tmp_path, prediction, legs())
    result = evaluate_case(files, reference_table=TABLE)
    assert [m.dice for m in result.muscles] == [1.0, 1.0]
    assert (result.slices_compared, result.slices) == (4, 6)
    assert result.batch_dice.foreground == 1.0
    everything = evaluate_case(files, reference_table=TABLE, all_slices=True)
    assert everything.muscles[0].dice == pytest.approx(2 * 192 / (192 + 216))
    assert everything.slices_compared == 6


def test_tables_of_prediction_and_reference_may_differ(tmp_path):
    prediction = np.select([legs() == 1, legs() == 2], [20, 10]).astype(np.uint8)
    theirs = MuscleTable((Muscle(10, "SA"), Muscle(20, "GR"), Muscle(30, "soleus")))
    files = pair(tmp_path, prediction, legs())
    result = evaluate_case(files, prediction_table=theirs, reference_table=TABLE)
    assert [(m.muscle, m.dice) for m in result.muscles] == [("gracilis", 1.0), ("sartorius", 1.0)]
    assert result.notes == ("Only the prediction knows, so not compared: soleus.",)


def test_without_any_table_values_stand_for_themselves(tmp_path):
    result = evaluate_case(pair(tmp_path, legs() * (legs() < 2), legs()))
    assert [(m.muscle, m.status) for m in result.muscles] == [
        ("label 1", "both"),
        ("label 2", "missed"),
    ]


def test_each_leg_gets_its_own_rows(tmp_path):
    prediction = legs()
    prediction[:, :, :20][prediction[:, :, :20] == 2] = 0  # small x: the patient's right
    files = pair(tmp_path, prediction, legs())
    result = evaluate_case(files, reference_table=TABLE, by_side=True)
    assert {(m.muscle, m.side): m.status for m in result.muscles} == {
        ("gracilis", "left"): "both",
        ("sartorius", "left"): "both",
        ("gracilis", "right"): "both",
        ("sartorius", "right"): "missed",
    }
    assert result.muscles[0].volume_ref_ml == pytest.approx(96 * 0.02)


def test_the_same_scan_stored_along_other_axes_is_the_same_grid(tmp_path):
    files = pair(tmp_path, legs(), legs())
    turned = nib.load(files.prediction).as_reoriented([[1, -1], [2, 1], [0, -1]])
    nib.save(turned, files.prediction)
    result = evaluate_case(files, reference_table=TABLE)
    assert [m.dice for m in result.muscles] == [1.0, 1.0]


def test_another_grid_is_refused_before_anything_is_computed(tmp_path):
    good = pair(tmp_path, legs(), legs(), name="good")
    bad = pair(tmp_path, legs(), legs(), (lps((10.0, 2.0, 1.1)), None), name="bad")
    done = []
    with pytest.raises(BadInput, match="same grid") as error:
        evaluate_cases([good, bad], progress=lambda *args: done.append(args))
    assert str(bad.prediction) in str(error.value)
    assert str(bad.reference) in str(error.value)
    assert done == []


def test_values_outside_a_table_and_an_empty_reference_are_refused(tmp_path):
    files = pair(tmp_path, legs() * 3, legs())
    with pytest.raises(BadInput, match=r"p.case\.nii\.gz holds the label values 3, 6"):
        evaluate_case(files, reference_table=TABLE)
    files = pair(tmp_path, legs(), legs() * 0)
    with pytest.raises(BadInput, match="carries no label in any slice"):
        evaluate_case(files, reference_table=TABLE)


def test_an_empty_prediction_misses_every_muscle(tmp_path):
    result = evaluate_case(pair(tmp_path, legs() * 0, legs()), reference_table=TABLE)
    assert [m.status for m in result.muscles] == ["missed", "missed"]
    assert result.mean_dice == 0
    assert result.batch_dice.foreground == 0


def test_progress_and_stop(tmp_path):
    pairs = [pair(tmp_path, legs(), legs(), name=name) for name in "abc"]
    seen = []

    def progress(done, total, case):
        seen.append((done, total, case.pair.name))

    results = evaluate_cases(pairs, progress=progress, stop=lambda: len(seen) == 2)
    assert seen == [(1, 3, "a"), (2, 3, "b")]
    assert [r.pair.name for r in results] == ["a", "b"]


def test_legs_without_any_common_muscle_still_give_rows(tmp_path):
    reference = np.where(legs() == 1, 3, 0)  # labelled, but not a muscle that was predicted
    table = MuscleTable((*TABLE.muscles, Muscle(3, "soleus")))
    files = pair(tmp_path, legs() * 0, reference)
    result = evaluate_case(files, prediction_table=TABLE, reference_table=table, by_side=True)
    assert [(m.muscle, m.status) for m in result.muscles] == [
        ("gracilis", "absent in both"),
        ("sartorius", "absent in both"),
    ]
    assert result.mean_dice is None
