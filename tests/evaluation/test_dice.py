import numpy as np
import pytest

from napari_ssl_muscle.evaluation.dice import (
    count_slices,
    dice_of_counts,
    dice_per_class,
    mean_dice,
)


def batch_aggregate_dice(prediction, reference, classes, **options):
    return dice_of_counts(count_slices(prediction, reference, classes), **options)


def random_labels(rng, shape, classes):
    return rng.integers(0, classes + 1, shape).astype(np.uint8)


def slow_batch_dice(prediction, reference, classes, batch):
    """The definition, written out."""
    means, backgrounds = [], []
    for start in range(0, len(prediction), batch):
        p, r = prediction[start : start + batch], reference[start : start + batch]
        scores = {}
        for c in [0, *classes]:
            total = (p == c).sum() + (r == c).sum()
            if total:
                scores[c] = 2 * ((p == c) & (r == c)).sum() / total
        if 0 in scores:
            backgrounds.append(scores.pop(0))
        if scores:
            means.append(np.mean(list(scores.values())))
    return np.mean(means), np.mean(backgrounds)


@pytest.mark.parametrize("n", [1, 10, 23])
def test_batch_dice_is_what_its_definition_says(n):
    rng = np.random.default_rng(n)
    prediction, reference = (random_labels(rng, (n, 9, 7), 4) for _ in range(2))
    reference[: n // 2][reference[: n // 2] == 3] = 0
    result = batch_aggregate_dice(prediction, reference, [1, 2, 3])
    foreground, background = slow_batch_dice(prediction, reference, [1, 2, 3], 10)
    assert result.foreground == pytest.approx(foreground)
    assert result.background == pytest.approx(background)
    assert (result.batches, result.skipped) == (-(-n // 10), 0)


def test_aggregating_pools_voxels_before_dividing():
    reference = np.zeros((2, 1, 100), np.uint8)
    prediction = reference.copy()
    reference[0, 0, :90] = 1  # found in full
    prediction[0, 0, :90] = 1
    reference[1, 0, :10] = 1  # missed in full
    # Pooled 2·90/190; the mean of the two slices would be 0.5.
    result = batch_aggregate_dice(prediction, reference, [1])
    assert result.foreground == pytest.approx(180 / 190)
    assert batch_aggregate_dice(prediction, reference, [1], batch=1).foreground == 0.5


def test_nothing_predicted_is_zero_and_not_the_share_of_absent_classes():
    reference = np.zeros((3, 8, 8), np.uint8)
    reference[1, 2:4, 2:4] = 2
    result = batch_aggregate_dice(np.zeros_like(reference), reference, range(1, 7))
    assert result.foreground == 0.0
    assert result.background is not None
    assert result.background > 0.95


def test_batches_without_any_muscle_are_skipped_and_counted():
    labels = np.zeros((25, 4, 4), np.uint8)
    labels[3, 0, 0] = 1
    result = batch_aggregate_dice(labels, labels, [1])
    assert (result.foreground, result.batches, result.skipped) == (1.0, 3, 2)
    empty = np.zeros((4, 4, 4), np.uint8)
    assert batch_aggregate_dice(empty, empty, [1]).foreground is None


def test_counts_of_several_scans_add_up_to_the_counts_of_all_slices():
    rng = np.random.default_rng(0)
    prediction, reference = (random_labels(rng, (14, 6, 5), 3) for _ in range(2))
    together = count_slices(prediction, reference, [1, 2, 3])
    apart = count_slices(prediction[:9], reference[:9], [1, 2, 3]) + count_slices(
        prediction[9:], reference[9:], [1, 2, 3]
    )
    assert dice_of_counts(apart) == dice_of_counts(together)


def test_dice_per_class_with_missed_invented_and_absent_classes():
    reference = np.zeros((2, 4, 4), np.int32)
    prediction = reference.copy()
    reference[0, 0, :4] = 1
    prediction[0, 0, 2:] = 1
    prediction[1, 0, 0] = 1  # 2·2 / (3 + 4)
    reference[0, 1] = 2  # missed
    prediction[0, 2] = 3  # invented
    dice = dice_per_class(prediction, reference, [1, 2, 3, 4])
    assert dice == {1: pytest.approx(4 / 7), 2: 0.0, 3: 0.0, 4: None}
    assert mean_dice(dice) == pytest.approx(4 / 21)
    assert mean_dice({4: None}) is None


def test_nonsense_is_refused():
    labels = np.zeros((2, 4, 4), np.uint8)
    with pytest.raises(ValueError, match="one shape"):
        batch_aggregate_dice(labels, labels[:1], [1])
    with pytest.raises(ValueError, match="above 0"):
        dice_per_class(labels, labels, [0, 1])
    with pytest.raises(ValueError, match="at least one slice"):
        batch_aggregate_dice(labels, labels, [1], batch=0)
