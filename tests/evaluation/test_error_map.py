"""Where a prediction is wrong."""

from __future__ import annotations

import numpy as np

from napari_ssl_muscle.evaluation.alignment import align
from napari_ssl_muscle.evaluation.error_map import error_locations, find_errors
from napari_ssl_muscle.evaluation.muscle_metrics import case_result
from napari_ssl_muscle.evaluation.pairing import Pair
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable

TABLE = MuscleTable((Muscle(5, "gracilis"), Muscle(7, "sartorius")))
THEIRS = MuscleTable((Muscle(1, "sartorius"), Muscle(2, "gracilis")))


def arrays():
    """Ours in TABLE and the truth in THEIRS; slice 0 is not labelled in the truth."""
    ours, truth = np.zeros((4, 4, 6), np.uint8), np.zeros((4, 4, 6), np.uint8)
    ours[1:, 0, :3] = 5
    truth[1:, 0, :3] = 2
    ours[1:, 2, :2] = 7
    truth[1:, 2, :2] = 1
    ours[0, 3, :] = 5  # nobody has looked at this slice
    ours[2, 1, 0] = 5  # false positive
    truth[2, 1, 1] = 1  # false negative
    ours[3, 0, 0] = 7  # another muscle
    ours[3, 2, 0] = 0
    return ours, truth


def aligned(**options):
    ours, truth = arrays()
    geometry = Geometry((6, 4, 4), np.eye(4))
    return align(
        ours,
        truth,
        ("p", "r"),
        prediction_table=TABLE,
        reference_table=THEIRS,
        geometry=geometry,
        **options,
    )


def test_every_kind_of_error_has_its_value_in_compared_slices_only():
    expected = np.zeros((4, 4, 6), np.uint8)
    expected[2, 1, 0] = 1
    expected[2, 1, 1] = 2
    expected[3, 0, 0] = 3
    expected[3, 2, 0] = 2
    np.testing.assert_array_equal(find_errors(aligned()).picture(), expected)
    whole = find_errors(aligned(all_slices=True)).picture()
    np.testing.assert_array_equal(whole[0, 3], 1)


def test_errors_of_one_muscle_take_another_for_background():
    table = aligned().common.table
    gracilis, sartorius = (table.by_name(name).value for name in ("gracilis", "sartorius"))
    errors = find_errors(aligned())
    one, other = errors.picture(gracilis), errors.picture(sartorius)
    assert (one[2, 1, 0], one[3, 0, 0]) == (1, 2)
    assert (other[2, 1, 1], other[3, 0, 0], other[3, 2, 0]) == (2, 1, 2)
    assert np.count_nonzero(one) == 2
    assert np.count_nonzero(other) == 3


def test_each_result_has_a_place_in_its_worst_slice_with_the_predictions_own_label():
    both = aligned()
    found = error_locations(both)
    results = case_result(Pair("case", "p", "r"), both).muscles
    assert [place.slice for place in found] == [r.worst_slice for r in results]
    assert {(r.muscle, p.label) for r, p in zip(results, found, strict=True)} == {
        ("gracilis", 5),
        ("sartorius", 7),
    }
    assert find_errors(both).worst_slice == 2


def test_a_muscle_without_error_is_looked_at_where_most_of_it_is():
    truth = arrays()[1]
    truth[1, 1, :] = 2
    geometry = Geometry((6, 4, 4), np.eye(4))
    same = align(
        truth, truth, ("p", "r"), prediction_table=THEIRS, reference_table=THEIRS, geometry=geometry
    )
    assert find_errors(same).worst_slice is None
    by_name = {same.common.table.names[p.value - 1]: p.slice for p in error_locations(same)}
    assert by_name["gracilis"] == 1
