import nibabel as nib
import numpy as np
import pytest
from label_files import lps, save

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.evaluate import evaluate_pairs, open_pair
from napari_ssl_muscle.evaluation.pairing import Pair
from napari_ssl_muscle.learning.events import StoppedByUser, report_steps
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


def evaluate_case(files, prediction_table=None, reference_table=None, **options):
    opened = open_pair(files, prediction_table=prediction_table, reference_table=reference_table)
    return evaluate_pairs([opened], **options).cases[0]


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
    open_pair(good)
    with pytest.raises(BadInput, match="same grid") as error:
        open_pair(bad)
    assert str(bad.prediction) in str(error.value)
    assert str(bad.reference) in str(error.value)


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
    pairs = [open_pair(pair(tmp_path, legs(), legs(), name=name)) for name in "abc"]
    events = []
    report = evaluate_pairs(pairs, progress=report_steps(events.append, lambda: False))
    assert [(e.done, e.total, e.text) for e in events] == [(0, 3, "a"), (1, 3, "b"), (2, 3, "c")]
    assert [case.pair.name for case in report.cases] == ["a", "b", "c"]
    with pytest.raises(StoppedByUser):
        evaluate_pairs(pairs, progress=report_steps(events.append, lambda: len(events) == 5))
    assert len(events) == 5


def test_what_cannot_be_compared_is_left_out_and_said_only_where_that_is_asked_for(tmp_path):
    pairs = [
        open_pair(pair(tmp_path, legs(), legs() * keep, name=name))
        for keep, name in ((1, "good"), (0, "bare"))
    ]
    with pytest.raises(BadInput, match="carries no label"):
        evaluate_pairs(pairs)
    inspected = []
    report = evaluate_pairs(
        pairs, leave_out=True, inspect=lambda number, *_: inspected.append(number)
    )
    assert [case.pair.name for case in report.cases] == ["good"]
    assert inspected == [0]
    assert report.notes[0].startswith("bare is left out: ")
    with pytest.raises(BadInput, match="carries no label"):
        evaluate_pairs(pairs[1:], leave_out=True)


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
