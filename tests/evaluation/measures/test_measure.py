import json

import numpy as np
import pandas as pd
import pytest
from label_files import lps, save

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.measures.measure import measure, measure_labels, open_labels
from napari_ssl_muscle.evaluation.measures.report import MeasureReport
from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable, default_table, write_itksnap

TABLE = MuscleTable((Muscle(1, "gracilis"), Muscle(2, "sartorius"), Muscle(3, "soleus")))


def legs():
    """Two legs of two muscles, (z, y, x); the leg of larger x, the patient's left, is smaller."""
    labels = np.zeros((5, 14, 60), np.uint8)
    labels[0:4, 2:6, 6:20] = 1
    labels[0:4, 8:12, 6:20] = 2
    labels[1:4, 2:6, 38:50] = 1
    labels[1:3, 8:12, 38:50] = 2
    return labels


def geometry(labels, affine=None):
    return Geometry(labels.shape[::-1], lps() if affine is None else affine)


def by_key(measurement):
    return {(m.muscle, m.side): m for m in measurement.measures}


def test_volumes_and_areas_per_muscle_and_side():
    labels = legs()
    labels[2, 2:6, 50:54] = 1
    found = measure(labels, TABLE, geometry(labels))
    measures = by_key(found)
    assert list(measures) == [
        ("gracilis", "left"),
        ("gracilis", "right"),
        ("sartorius", "left"),
        ("sartorius", "right"),
    ]
    left = measures["gracilis", "left"]
    assert left.csa_mm2 == pytest.approx((0, 96, 128, 96, 0))  # 48 voxels of 2 mm²
    assert left.volume_ml == pytest.approx(3.2)
    assert (left.first_slice, left.last_slice, left.slices) == (1, 3, 3)
    assert left.mean_csa_mm2 == pytest.approx(320 / 3)
    assert (left.max_csa_mm2, left.max_csa_slice) == (pytest.approx(128), 2)
    assert measures["gracilis", "right"].volume_ml == pytest.approx(4.48)
    assert found.notes[-1] == "Not in the label map: soleus."


def test_left_and_right_come_from_the_affine_and_not_from_the_order_in_the_file():
    labels = legs()
    mirrored = np.ascontiguousarray(labels.transpose(2, 1, 0)[::-1])
    turned = Geometry(mirrored.shape, lps() @ np.diag([-1.0, 1, 1, 1]))
    canonical = turned.to_canonical(mirrored)
    assert by_key(measure(canonical, TABLE, turned)) == by_key(
        measure(labels, TABLE, geometry(labels))
    )


def test_legs_without_a_usable_affine_are_first_and_second():
    labels = legs()
    found = measure(labels, TABLE, geometry(labels, np.zeros((4, 4))))
    assert {side for _, side in by_key(found)} == {"first leg", "second leg"}
    assert any("singular affine" in note for note in found.notes)
    assert any("does not tell left from right" in note for note in found.notes)
    assert by_key(found)["sartorius", "first leg"].csa_mm2[0] == 56  # voxels of 1 mm assumed


def test_sides_of_the_table_come_first():
    labels = legs()
    labels[labels == 2] = 0
    labels[:, :, 30:][labels[:, :, 30:] == 1] = 2
    # Named against the affine on purpose: the person who drew them knows better.
    table = MuscleTable((Muscle(1, "gracilis left"), Muscle(2, "R_GR")))
    measures = by_key(measure(labels, table, geometry(labels)))
    assert list(measures) == [("gracilis", "left"), ("gracilis", "right")]
    assert measures["gracilis", "left"].slices == 4


def test_one_leg_is_called_a_single_leg():
    labels = legs()
    labels[:, :, 30:] = 0
    found = measure(labels, TABLE, geometry(labels))
    assert {side for _, side in by_key(found)} == {"single leg"}
    assert any("not guessed" in note for note in found.notes)


def test_tilted_slices_are_noted():
    labels = legs()
    angle = np.radians(20)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    found = measure(labels, TABLE, geometry(labels, turn @ lps()))
    assert any("tilted by 20°" in note for note in found.notes)
    assert by_key(found)["gracilis", "left"].csa_mm2[1] == pytest.approx(96)


def test_values_outside_the_table_are_refused_by_file(tmp_path):
    labels = legs()
    labels[0, 0, 0] = 9
    path = save(tmp_path / "a.nii.gz", labels)
    with pytest.raises(BadInput, match=r"a\.nii\.gz holds the label values 9"):
        measure_labels([open_labels(path, TABLE)])


def test_files_are_measured_with_their_own_tables_and_reported(tmp_path):
    first = save(tmp_path / "sub-01_ses-1_dseg.nii.gz", legs())
    second = save(tmp_path / "sub-01_ses-2_dseg.nii.gz", legs()[:, :, ::-1])
    write_itksnap(TABLE, tmp_path / "sub-01_ses-1_dseg.label")
    seen = []
    given = [open_labels(path) for path in (first, second)]
    results = measure_labels(given, lambda *args: seen.append(args))
    assert seen == [(0, 2, "sub-01_ses-1"), (1, 2, "sub-01_ses-2")]
    report = MeasureReport(results)
    written = report.write(tmp_path / "out")
    assert [path.name for path in written] == list(MeasureReport.FILES)
    table = pd.read_csv(tmp_path / "out" / "measures.csv")
    assert list(table["session"]) == ["ses-1"] * 4 + ["ses-2"] * 4
    assert set(table["subject"]) == {"sub-01"}
    assert list(table["muscle"].unique()) == ["gracilis", "sartorius", "label 1", "label 2"]
    slices = pd.read_csv(tmp_path / "out" / "cross_sections.csv")
    areas = slices.groupby(["case", "muscle", "side"], sort=False)["csa_mm2"].sum() * 10 / 1000
    assert list(areas) == pytest.approx(list(table["volume_ml"]))
    assert set(slices["above_lowest_slice_mm"]) == {0, 10, 20, 30}
    content = json.loads((tmp_path / "out" / "measures.json").read_text(encoding="utf-8"))
    assert list(content)[:5] == ["format", "created", "versions", "units", "cases"]
    assert content["outliers"] == []  # of two label maps none is one
    assert tuple(table.columns) == report.columns == tuple(report.frame().columns)
    assert report.columns[: len(MeasureReport.COLUMNS)] == MeasureReport.COLUMNS
    assert content["cases"][0]["measures"][0]["csa_mm2"] == [0, 96, 96, 96, 0]
    lines = report.to_text().splitlines()
    assert lines[0] == "sub-01_ses-1"
    assert "gracilis, left" in lines[2]


def test_the_phantom_has_the_volumes_that_it_says():
    settings = PhantomSettings(slices=12, size=128)
    scan = phantom_scan(1, 1, settings)
    names = dict.fromkeys(name.rsplit(" ", 1)[0] for name in scan.volumes_ml)
    table = MuscleTable(tuple(Muscle(i, name) for i, name in enumerate(names, 1)))
    shape = scan.labels.shape[::-1]
    found = by_key(measure(scan.labels, table, Geometry(shape, scan.affine)))
    volumes = {f"{muscle} {side}": m.volume_ml for (muscle, side), m in found.items()}
    assert volumes == pytest.approx(scan.volumes_ml)


def test_without_a_voxel_size_voxels_are_given_and_no_millilitres():
    labels = np.zeros((3, 20, 20), np.int32)
    labels[:, 4:9, 4:9] = 1
    geometry = Geometry((20, 20, 3), np.zeros((4, 4)))
    found = measure(labels, default_table("thigh"), geometry, "leg")
    report = MeasureReport([found])
    (row,) = report.rows()
    assert (row["volume_ml"], row["voxels"]) == (None, 75)
    assert report.slice_rows() == []
    assert any("voxels are given instead of mL" in note for note in found.notes)
