import numpy as np

from napari_ssl_muscle.study.next_slice import suggest_slices


def test_the_least_sure_slice_comes_first_and_then_another_part_of_the_leg() -> None:
    confidence = np.full(60, 0.95)
    confidence[[20, 21, 22]] = [0.5, 0.4, 0.5]
    confidence[50] = 0.7
    first, second, *_ = suggest_slices(confidence, 5.0)
    assert (first, second) == (21, 50)


def test_suggestions_spread_by_millimetres_not_by_slices() -> None:
    confidence = np.full(60, 0.95)
    confidence[[20, 24]] = 0.4
    confidence[50] = 0.7
    assert suggest_slices(confidence, 10.0, count=2) == [20, 24]  # 40 mm apart
    assert suggest_slices(confidence, 1.0, count=2) == [20, 50]  # 4 mm apart


def test_slices_around_accepted_ones_can_wait() -> None:
    confidence = np.full(40, 0.8)
    found = suggest_slices(confidence, 5.0, done={0, 39}, count=1)
    assert 8 <= found[0] <= 31
    assert not {0, 39} & set(suggest_slices(confidence, 5.0, done={0, 39}))


def test_every_open_slice_is_suggested_once_in_the_same_order() -> None:
    confidence = np.random.default_rng(0).random(30)
    done = {3, 9, 28}
    found = suggest_slices(confidence, 4.0, done=done)
    assert sorted(found) == sorted(set(range(30)) - done)
    assert suggest_slices(list(confidence), 4.0, done=sorted(done, reverse=True)) == found
    assert suggest_slices(confidence, 4.0, done=done, count=5) == found[:5]


def test_a_model_that_finds_nothing_still_gets_slices_spread_over_the_leg() -> None:
    found = suggest_slices(np.ones(41), 5.0, count=3)
    assert min(abs(a - b) for a in found for b in found if a != b) >= 8


def test_nothing_is_left() -> None:
    assert suggest_slices(np.ones(3), 5.0, done=range(3)) == []
