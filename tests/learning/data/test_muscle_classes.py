"""Classes of tables with left and right muscles."""

import numpy as np
import pytest

from napari_ssl_muscle.learning.data.muscle_classes import (
    LEFT,
    RIGHT,
    MuscleClasses,
    describe_sides,
    in_order_of,
    paired,
)
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable


def table(*names: str) -> MuscleTable:
    return MuscleTable(tuple(Muscle(10 * i, name) for i, name in enumerate(names, 1)))


SIDED = table("L_VL", "GR left", "VL right", "sartorius", "gracilis (R)")


def test_pairs_are_one_class_and_their_leg_gives_the_value() -> None:
    classes = MuscleClasses.for_training(SIDED)
    assert classes.names == ("vastus lateralis", "gracilis", "sartorius")
    assert classes.short_names == ("VL", "GR", "SA")
    assert classes.count == 4
    values = np.array([0, 10, 30, 20, 50, 40])
    assert classes.encode(values).tolist() == [0, 1, 1, 2, 2, 3]
    found = np.array([0, 1, 1, 2, 2, 3], np.uint8)
    legs = np.array([0, LEFT, RIGHT, LEFT, RIGHT, LEFT], np.uint8)
    assert classes.decode(found, legs).tolist() == values.tolist()
    assert classes.legs_of(values) == (2, 2)


def test_a_muscle_of_one_side_stays_in_its_leg() -> None:
    classes = MuscleClasses.for_training(table("VL left", "VL right", "VM left"))
    legs = np.array([LEFT, RIGHT], np.uint8)
    assert classes.decode(np.array([2, 2], np.uint8), legs).tolist() == [30, 0]


def test_a_table_without_pairs_is_learned_as_it_stands() -> None:
    for given in (table("VL", "VM"), table("VL left", "VM left")):
        classes = MuscleClasses.for_training(given)
        assert (classes.names, paired(given)) == (given.names, ())
        assert classes.decode(np.array([2], np.uint8), None).tolist() == [20]
    one_side = MuscleClasses.for_training(table("VL left", "VM left"))
    assert "in both legs" in str(describe_sides(one_side, mirrored=True))
    assert describe_sides(one_side, mirrored=False) is None
    assert describe_sides(MuscleClasses.for_training(table("VL", "VM")), mirrored=True) is None


def test_the_order_of_a_model_is_taken_where_the_muscles_are_its_own() -> None:
    known = MuscleClasses(table("gracilis", "vastus lateralis", "sartorius"))
    sorted_table = in_order_of(SIDED, known)
    assert MuscleClasses.for_training(sorted_table).same(known)
    assert set(sorted_table.values) == set(SIDED.values)
    other = MuscleClasses(table("gracilis"))
    assert in_order_of(SIDED, other) == SIDED


def test_sides_are_needed_to_decode_them() -> None:
    with pytest.raises(ValueError, match="legs"):
        MuscleClasses.for_training(SIDED).decode(np.array([1], np.uint8), None)
