import numpy as np
import pytest

from napari_ssl_muscle.evaluation.dice import count_slices
from napari_ssl_muscle.evaluation.dice_variants import TITLES, DiceVariants, dice_variants


def counts(prediction, reference):
    """Counts of two muscles in slices of ten voxels, given as text."""
    arrays = [
        np.array([[[int(voxel) for voxel in line]] for line in lines])
        for lines in (prediction, reference)
    ]
    return count_slices(*arrays, [1, 2])


# Muscle 1 over the slices: Dice 2·2/(3+4) and, of the last one, missed: 0. Muscle 2: only in the
# second subject, invented in its first slice (0) and found in its second (1).
FIRST = counts(["1110000000", "0000000000"], ["0111000000", "1000000000"])
SECOND = counts(["2200000000", "2200000000"], ["0000000000", "2200000000"])


def test_every_variant_is_what_is_computed_by_hand():
    found = dice_variants({"a": FIRST, "b": SECOND}, batch=2)
    slices = [[2 * 2 / 6, None], [0, None], [None, 0], [None, 1]]
    assert found.per_slice == pytest.approx((2 / 3 + 0 + 0 + 1) / 4)
    assert found.reference_repository == pytest.approx(
        np.mean([[1 if score is None else score for score in line] for line in slices])
    )
    # In either subject all slices are one batch: muscle 1 has 2·2/(3 + 4), muscle 2 2·2/(4 + 2).
    assert found.batch_aggregate == pytest.approx((4 / 7 + 2 / 3) / 2)
    assert found.per_subject == pytest.approx((4 / 7 + 2 / 3) / 2)
    # Background: 6 + 9 voxels in both of 17 and 16; 8 + 8 in both of 16 and 18.
    assert found.batch_aggregate_background == pytest.approx(
        np.mean([(4 / 7 + 2 * 15 / 33) / 2, (2 / 3 + 2 * 16 / 34) / 2])
    )


def test_variants_differ_where_batches_cut_across_subjects():
    found = dice_variants({"a": FIRST, "b": SECOND}, batch=4)
    assert found.batch_aggregate == pytest.approx((4 / 7 + 2 / 3) / 2)
    three = dice_variants({"a": FIRST, "b": SECOND}, batch=3)
    assert three.batch_aggregate == pytest.approx(((4 / 7 + 0) / 2 + 1) / 2)
    assert three.per_subject == found.per_subject


def test_nothing_predicted_scores_above_zero_only_in_the_reference_repository_variant():
    reference = ["1100000000", "0000000000", "0000000000", "0000000000"]
    empty = ["0000000000"] * 4
    found = dice_variants({"a": counts(empty, reference)})
    assert found.reference_repository == 7 / 8
    assert found.per_subject == found.per_slice == found.batch_aggregate == 0


def test_no_muscle_and_no_subject_give_no_figure():
    nothing = DiceVariants(None, None, None, None, None)
    assert dice_variants({}) == nothing
    empty = ["0000000000"]
    assert dice_variants({"a": counts(empty, empty)}) == nothing


def test_every_variant_has_a_title():
    assert list(TITLES) == list(DiceVariants.__dataclass_fields__)
