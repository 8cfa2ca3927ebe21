import numpy as np
import pytest

from napari_ssl_muscle.evaluation.alignment import labelled_slices
from napari_ssl_muscle.evaluation.muscle_metrics import compare
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable

NAMES = ["vastus lateralis", "sartorius", "gracilis", "soleus"]
TABLE = MuscleTable(tuple(Muscle(value, name) for value, name in enumerate(NAMES, 1)))
SPACING = (10.0, 2.0, 1.0)  # 0.02 mL a voxel


def case():
    reference = np.zeros((5, 10, 12), np.uint8)
    prediction = np.zeros_like(reference)
    reference[1:4, 2:6, 2:7] = 1  # 60 voxels
    prediction[1:4, 2:6, 3:8] = 1  # as many, 1 mm aside: 48 in common
    reference[2, 8, 8:10] = 2  # missed
    prediction[3, 0, :5] = 3  # invented
    return prediction, reference


def test_each_muscle_gets_its_figures_and_its_status():
    results = {r.muscle: r for r in compare(*case(), TABLE, SPACING)}
    assert list(results) == NAMES

    both = results["vastus lateralis"]
    assert both.status == "both"
    assert both.dice == pytest.approx(0.8)
    assert both.hd95_mm == pytest.approx(1.0)
    assert 0 < both.msd_mm < 1
    assert both.volume_ref_ml == pytest.approx(1.2)
    assert both.difference_ml == 0

    missed = results["sartorius"]
    assert (missed.status, missed.dice, missed.worst_slice) == ("missed", 0, 2)
    assert missed.hd95_mm == missed.msd_mm == float("inf")
    assert missed.difference_ml == pytest.approx(-0.04)

    invented = results["gracilis"]
    assert (invented.status, invented.dice, invented.worst_slice) == ("invented", 0, 3)
    assert invented.hd95_mm == float("inf")
    assert invented.volume_pred_ml == invented.difference_ml == pytest.approx(0.1)

    absent = results["soleus"]
    assert (absent.status, absent.worst_slice) == ("absent in both", None)
    assert absent.dice is absent.hd95_mm is absent.msd_mm is None


def test_slices_without_reference_labels_are_not_compared():
    prediction, reference = case()
    prediction[0, 2:6, 2:7] = 1  # nobody has labelled that slice
    prediction[4] = 3
    compared = labelled_slices(reference)
    assert compared.tolist() == [False, True, True, True, False]
    inside = compare(prediction, reference, TABLE, SPACING, compared)
    assert inside == compare(*case(), TABLE, SPACING, compared)
    everywhere = compare(prediction, reference, TABLE, SPACING)
    assert everywhere[0].dice == pytest.approx(96 / 140)
    assert everywhere[0].worst_slice == 0


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        compare(np.zeros((2, 3, 3), int), np.zeros((1, 3, 3), int), TABLE, SPACING)
