import numpy as np
import pytest
from scipy import stats

from napari_ssl_muscle.evaluation.statistics import (
    Score,
    compare_arms,
    holm,
    mean_by_subject,
    seed_spread,
)
from napari_ssl_muscle.evaluation.statistics.comparison import paired_p_values


def scores(*seeds):
    """Scores of seeds, each given as the values of subjects a, b, …"""
    return [
        Score("abcdefgh"[index], seed, value)
        for seed, values in enumerate(seeds)
        for index, value in enumerate(values)
    ]


def compare(first, second):
    return compare_arms({"only": (first, second)})["only"]


def test_p_values_are_those_of_scipys_t_tests():
    x = [0.03, -0.01, 0.02, 0.015, 0.004]
    different, equal = paired_p_values(x, margin=0.02)
    assert different == pytest.approx(stats.ttest_1samp(x, 0).pvalue)
    above = stats.ttest_1samp(x, -0.02, alternative="greater").pvalue
    below = stats.ttest_1samp(x, 0.02, alternative="less").pvalue
    assert equal == pytest.approx(max(above, below))


def test_subjects_that_agree_to_the_last_digit_have_p_values():
    assert paired_p_values([0.1, 0.1, 0.1]) == (0.0, 1.0)
    assert paired_p_values([0.0, 0.0]) == (1.0, 0.0)
    assert paired_p_values([0.5, 0.5], margin=0.5)[1] == 1.0


def test_holms_correction_by_hand():
    # 0.01·4, then 0.02·3, then 0.03·2 is no larger than that, then 0.04.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_spread_of_seeds_is_pooled_within_subjects():
    # Variances 0.02 and 0.08 over two seeds; subjects that lie apart do not count.
    assert seed_spread(scores([0.1, 0.5], [0.3, 0.9])) == pytest.approx(np.sqrt(0.05))
    assert seed_spread(scores([0.1, 0.5])) is None


def test_several_scores_of_a_seed_are_averaged_before_the_seeds():
    found = mean_by_subject([Score("a", 0, 0.2), Score("a", 0, 0.4), Score("a", 1, 0.9)])
    assert found == {"a": pytest.approx(0.6)}


def test_a_difference_that_all_subjects_and_seeds_share_helps_or_hurts():
    first = scores([0.50, 0.60, 0.70], [0.52, 0.61, 0.69], [0.51, 0.62, 0.68])
    second = scores([0.60, 0.71, 0.79], [0.61, 0.70, 0.80], [0.62, 0.72, 0.77])
    found = compare(first, second)
    assert found.verdict == "helps"
    assert found.by_seed == pytest.approx({0: 0.1, 1: 0.29 / 3, 2: 0.1})
    assert found.difference == pytest.approx(0.89 / 9)
    assert found.interval.t[0] > 0.05
    assert compare(second, first).verdict == "hurts"


def test_small_differences_that_agree_are_equal_and_wide_ones_no_evidence():
    first = scores(*[[0.50, 0.60, 0.70, 0.55]] * 3)
    close = scores(*[[0.505, 0.602, 0.703, 0.556]] * 3)
    assert compare(first, close).verdict == "equal within 0.02"
    wide = scores(*[[0.60, 0.50, 0.80, 0.45]] * 3)
    assert compare(first, wide).verdict == "no evidence either way"


def test_fewer_than_three_seeds_give_no_verdict():
    first, second = [0.50, 0.60, 0.70], [0.60, 0.71, 0.79]
    assert compare(scores(*[first] * 3), scores(*[second] * 3)).verdict == "helps"
    two = compare(scores(*[first] * 2), scores(*[second] * 2))
    assert two.p_different < 0.05
    assert two.verdict == "no evidence either way"


def test_subjects_that_agree_do_not_hide_seeds_that_disagree():
    first = scores(*[[0.5, 0.6]] * 3)
    # Both subjects gain 0.1 on average, but one seed gains 0.3 and another loses 0.1.
    found = compare(first, scores([0.8, 0.9], [0.4, 0.5], [0.6, 0.7]))
    assert found.p_different < 0.001
    assert found.verdict == "no evidence either way"
    assert found.spread == (0, pytest.approx(0.2))
    same = compare(first, scores([0.8, 0.9], [0.2, 0.3], [0.5, 0.6]))
    assert same.p_equal < 0.001
    assert same.verdict == "no evidence either way"


def test_one_subject_gives_no_interval_and_no_verdict():
    found = compare(scores([0.5], [0.5]), scores([0.9], [0.9]))
    assert found.difference == pytest.approx(0.4)
    assert found.interval_text == "one test subject: no interval"
    assert (found.p_different, found.verdict) == (None, "no evidence either way")


def test_comparisons_are_corrected_together_and_single_subjects_do_not_count():
    first, second = scores([0.5, 0.6, 0.7]), scores([0.55, 0.68, 0.77])
    alone = compare(first, second).p_different
    assert alone < 0.05
    family = {str(i): (first, second) for i in range(3)}
    family["one subject"] = scores([0.5]), scores([0.6])
    found = compare_arms(family)
    assert found["0"].p_different == pytest.approx(3 * alone)
    assert found["0"].verdict == "no evidence either way"


def test_only_what_both_arms_have_is_compared():
    first = scores([0.5, 0.6, 0.7], [0.1, 0.2, 0.3])
    found = compare(first, scores([0.6, 0.7]))
    assert found.first == {"a": 0.5, "b": 0.6}
    assert found.difference == pytest.approx(0.1)
    assert compare_arms({"nothing": (first, [])}) == {}
