import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.model_comparison import HeldOutScan, Predicted, compare_models
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable, default_table

TABLE = default_table("thigh").select(["VL", "VM"])
VL, VM = TABLE.values


def truth() -> np.ndarray:
    labels = np.zeros((6, 8, 8), np.uint8)
    labels[:, :4], labels[:, 4:6] = VL, VM
    return labels


def scan(
    old: np.ndarray,
    new: np.ndarray,
    slices: set[int],
    *,
    subject: str = "a",
    old_table: MuscleTable = TABLE,
    new_table: MuscleTable = TABLE,
) -> HeldOutScan:
    return HeldOutScan(
        f"scan of {subject}",
        subject,
        truth(),
        TABLE,
        frozenset(slices),
        (5.0, 1.0, 1.0),
        Predicted(old, old_table),
        Predicted(new, new_table),
    )


def test_only_held_out_slices_count() -> None:
    old, new = truth(), truth()
    old[[0, 1, 2, 4, 5]] = 0  # wrong wherever nobody looks
    new[3, :, 4:] = 0
    found = compare_models([scan(old, new, {3})])
    assert found is not None
    assert found.muscles["vastus lateralis"] == (1.0, pytest.approx(2 / 3))
    assert found.slices == {"scan of a": (3,)}
    other = compare_models([scan(old, new, {1, 2, 4, 5})])
    assert other is not None
    assert other.means == (0.0, 1.0)
    assert other.better == "new"


@pytest.mark.parametrize(
    ("slices", "enough"), [({1}, False), ({1, 2, 4}, False), ({0, 1, 2, 3}, True)]
)
def test_fewer_than_four_slices_give_figures_but_name_no_better_model(
    slices: set[int], enough: bool
) -> None:
    found = compare_models([scan(np.zeros_like(truth()), truth(), slices)])
    assert found is not None
    assert found.means == (0.0, 1.0)
    assert found.enough is enough
    assert found.better == ("new" if enough else None)
    text = "\n".join(found.notes)
    assert ("not enough held-out slices to compare" in text) is not enough
    assert enough or f"{len(slices)}, and 4 are needed" in text
    assert "accepted nearly as the old model" not in text


def test_slices_accepted_as_the_old_model_labelled_them_favour_it_and_that_is_said() -> None:
    found = compare_models([scan(truth(), np.zeros_like(truth()), {0, 1, 2, 3})])
    assert found is not None
    assert "accepted nearly as the old model" in found.notes[-1]


def test_without_held_out_slices_there_is_nothing_to_compare() -> None:
    assert compare_models([]) is None
    assert compare_models([scan(truth(), truth(), set())]) is None


def test_the_same_labels_are_no_better() -> None:
    found = compare_models([scan(truth(), truth(), {0, 1, 2, 3})])
    assert found is not None
    assert (found.means, found.better) == ((1.0, 1.0), None)


def test_subjects_count_alike_however_many_slices_they_have() -> None:
    empty = np.zeros_like(truth())
    found = compare_models(
        [
            scan(truth(), empty, {0, 1, 2, 3, 4}),
            scan(truth(), truth(), {2}, subject="b"),
        ]
    )
    assert found is not None
    assert found.means == (1.0, 0.5)
    assert "6 held-out slices of 2 subjects" in found.notes[0]
    assert found.enough


def test_each_models_values_mean_what_its_own_table_says() -> None:
    swapped = MuscleTable((Muscle(VM, "vastus lateralis"), Muscle(VL, "vastus medialis")))
    new = truth()
    new[truth() == VL], new[truth() == VM] = VM, VL
    found = compare_models([scan(truth(), new, {1}, new_table=swapped)])
    assert found is not None
    assert found.means == (1.0, 1.0)


def test_a_muscle_that_one_model_lacks_is_named_and_left_out() -> None:
    found = compare_models([scan(truth(), truth(), {1}, old_table=TABLE.select(["VM"]))])
    assert found is not None
    assert list(found.muscles) == ["vastus medialis"]
    assert "Only the new model knows, so not compared: vastus lateralis." in found.notes


def test_models_of_other_muscles_are_refused() -> None:
    with pytest.raises(BadInput, match="no muscle in common"):
        compare_models([scan(truth(), truth(), {1}, new_table=default_table("calf"))])


def test_the_table_for_the_screen() -> None:
    new = truth()
    new[3, :, 4:] = 0
    found = compare_models([scan(truth(), new, {3})])
    assert found is not None
    lines = found.to_text("before", "after").splitlines()
    assert lines[0].split() == ["Dice", "before", "after", "difference"]
    assert lines[3].split() == ["mean", "1.000", "0.667", "-0.333"]
