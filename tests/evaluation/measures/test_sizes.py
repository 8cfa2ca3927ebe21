"""Coverage, levels along the scan, and left against right."""

import numpy as np
import pytest
from label_files import lps

from napari_ssl_muscle.evaluation.measures.figures import MeasureSettings
from napari_ssl_muscle.evaluation.measures.measure import measure
from napari_ssl_muscle.evaluation.measures.report import MeasureReport
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable

TABLE = MuscleTable((Muscle(1, "gracilis left"), Muscle(2, "gracilis right"), Muscle(3, "soleus")))


def measured(*muscles, slices=10, settings=None):
    """Measure muscles given as {slice: columns}, each in rows of its own; 10 mm slices, 2 mm²."""
    labels = np.zeros((slices, 4 * len(muscles), 20), np.uint8)
    for value, areas in enumerate(muscles, 1):
        for z, columns in areas.items():
            labels[z, 4 * value - 4 : 4 * value - 2, :columns] = value
    geometry = Geometry(labels.shape[::-1], lps())
    return measure(labels, TABLE, geometry, **({} if settings is None else {"settings": settings}))


def coverage(areas, others, slices=10):
    return measured(areas, others, slices=slices).measures[0].coverage


def test_a_muscle_at_the_end_of_the_scan_is_cut():
    others = dict.fromkeys(range(10), 9)
    assert coverage(dict.fromkeys(range(3, 7), 9), others) == "whole"
    assert coverage(dict.fromkeys(range(7), 9), others) == "cut below"
    assert coverage(dict.fromkeys(range(3, 10), 9), others) == "cut above"
    assert coverage(dict.fromkeys(range(10), 9), others) == "cut at both ends"


def test_a_muscle_that_ends_wide_where_the_labels_end_is_cut_and_one_that_tapers_is_whole():
    others = dict.fromkeys(range(2, 8), 9)
    assert coverage({4: 10, 5: 10, 6: 10, 7: 10}, others) == "cut above"
    assert coverage({4: 10, 5: 10, 6: 5, 7: 2}, others) == "whole"


def test_totals_of_cut_muscles_are_at_least_what_is_seen():
    found = measured(dict.fromkeys(range(7), 9), dict.fromkeys(range(2, 5), 9))
    assert found.cut
    assert any(note.startswith("Cut by the end of the scan") for note in found.notes)
    lines = MeasureReport([found]).to_text().splitlines()
    (total,) = [line for line in lines if line.startswith("total")]
    assert "≥ 3.6" in total  # (7 + 3) slices of 36 mm² at 10 mm
    (whole,) = [line for line in lines if line.startswith("gracilis, right")]
    assert "≥" not in whole


def test_levels_are_per_cent_of_the_scan_from_its_lower_end():
    areas = {z: z + 1 for z in range(10)}  # slice z has 4 (z + 1) mm²
    found = measured(areas, areas, settings=MeasureSettings(levels=(5.0, 50.0, 95.0)))
    assert found.measures[0].level_csa_mm2 == pytest.approx((4, 22, 40))
    row = MeasureReport([found]).rows()[0]
    assert row["csa_at_50_percent_mm2"] == pytest.approx(22)
    assert MeasureReport([found]).to_csv().splitlines()[0].endswith("csa_at_95_percent_mm2")


def test_a_level_outside_the_labelled_slices_has_no_area():
    areas = dict.fromkeys(range(4, 8), 9)
    found = measured(areas, areas, settings=MeasureSettings(levels=(10.0, 50.0)))
    assert found.measures[0].level_csa_mm2 == (None, pytest.approx(36))


def test_asymmetry_is_left_minus_right_in_per_cent_of_their_mean():
    found = measured(dict.fromkeys(range(3, 6), 12), dict.fromkeys(range(3, 6), 8), {4: 5})
    left, right, alone = found.measures
    assert left.asymmetry_percent == right.asymmetry_percent == pytest.approx(40.0)
    assert alone.asymmetry_percent is None
    assert left.length_mm == pytest.approx(30.0)
