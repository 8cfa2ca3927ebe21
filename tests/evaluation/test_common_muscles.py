import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.alignment import common_muscles
from napari_ssl_muscle.scans.muscles import (
    Muscle,
    MuscleTable,
)


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
