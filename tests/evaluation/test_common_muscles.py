import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.alignment import common_muscles
from napari_ssl_muscle.evaluation.pairing import table_beside
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable, write_itksnap, write_tsv
from napari_ssl_muscle.scans.muscles.names import split_side
from napari_ssl_muscle.scans.muscles.table import table_by_values


def table(**values):
    return MuscleTable(tuple(Muscle(v, name.replace("_", " ")) for name, v in values.items()))


def test_tables_with_other_values_and_spellings_are_brought_together():
    prediction = table(VL=1, gracilis=2, soleus=3)
    reference = table(sartorius=7, Gracilis=40, vastus_lateralis=5)
    common = common_muscles(prediction, reference)
    assert common.table.names == ("gracilis", "vastus lateralis")
    assert common.prediction(np.array([0, 1, 2, 3])).tolist() == [0, 2, 1, 0]
    assert common.reference(np.array([[0, 7], [40, 5]])).tolist() == [[0, 0], [1, 2]]
    assert common.notes == (
        "Only the reference knows, so not compared: sartorius.",
        "Only the prediction knows, so not compared: soleus.",
    )


def test_sides_of_one_table_only_are_given_up():
    prediction = table(gracilis=1)
    reference = table(gracilis_left=3, gracilis_right=9)
    common = common_muscles(prediction, reference)
    assert common.table.names == ("gracilis",)
    assert common.reference(np.array([0, 3, 9])).tolist() == [0, 1, 1]
    assert "both legs are taken together" in common.notes[0]
    both = common_muscles(reference, reference)
    assert both.table.names == ("gracilis left", "gracilis right")
    assert both.notes == ()


def test_nothing_in_common_is_refused():
    with pytest.raises(BadInput, match="no muscle in common"):
        common_muscles(table(gracilis=1), table(soleus=1))


def test_the_table_beside_a_label_map_is_found(tmp_path):
    labels = tmp_path / "labelsTr" / "case_seg.nii.gz"
    labels.parent.mkdir()
    assert table_beside(labels) is None

    write_itksnap(table(gracilis=3), tmp_path / "muscles.label")
    assert table_beside(labels).names == ("gracilis",)
    (labels.parent / "other.nii.gz").touch()
    write_itksnap(table(soleus=1), labels.parent / "other.label")
    assert table_beside(labels).names == ("gracilis",)  # not the table of another label map
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "sartorius": 1}}')
    assert table_beside(labels).names == ("sartorius",)
    write_tsv(table(gracilis=1, soleus=2), labels.parent / "case_seg.tsv")
    assert table_beside(labels).names == ("gracilis", "soleus")


def test_without_a_table_values_name_themselves():
    found = table_by_values(np.array([0, 4]), np.array([2, 4]))
    assert [(m.value, m.name) for m in found.muscles] == [(2, "label 2"), (4, "label 4")]


def test_sides_in_names():
    assert split_side("L_VL") == ("vastus lateralis", "left")
    assert split_side("gracilis right") == ("gracilis", "right")
    assert split_side("Soleus") == ("soleus", "")
