import numpy as np
import pytest
from scipy import stats

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.statistics import mean_over_subjects, paired_difference

FIRST = {"a": [0.70, 0.74], "b": [0.60], "c": [0.66, 0.68, 0.70], "d": [0.81], "e": [0.5]}
SECOND = {"a": [0.75, 0.75], "b": [0.65], "c": [0.67], "d": [0.80, 0.84], "e": [0.58]}


def test_seeds_are_averaged_within_a_subject_before_pairing():
    result = paired_difference(FIRST, SECOND)
    expected = {"a": 0.03, "b": 0.05, "c": -0.01, "d": 0.01, "e": 0.08}
    assert result.subjects == pytest.approx(expected)
    assert result.n == 5
    assert result.mean == pytest.approx(np.mean(list(expected.values())))


def test_t_interval_is_that_of_a_one_sample_t_test():
    result = paired_difference(FIRST, SECOND, confidence=0.9)
    x = list(result.subjects.values())
    low, high = stats.t.interval(0.9, 4, np.mean(x), stats.sem(x))
    assert result.t == pytest.approx((low, high))
    assert result.deviation == pytest.approx(np.std(x, ddof=1))


def test_more_seeds_do_not_narrow_the_interval():
    once = mean_over_subjects({"a": [0.7], "b": [0.8], "c": [0.6]})
    often = mean_over_subjects({"a": [0.7] * 50, "b": [0.8] * 50, "c": [0.6] * 50})
    assert often.t == pytest.approx(once.t)
    assert often.bootstrap == pytest.approx(once.bootstrap)


def test_bootstrap_is_repeatable_and_near_the_normal_interval_for_many_subjects():
    rng = np.random.default_rng(1)
    values = {str(i): [float(v)] for i, v in enumerate(rng.normal(0.1, 1.0, 200))}
    result = mean_over_subjects(values)
    assert result == mean_over_subjects(values)
    assert result.bootstrap != mean_over_subjects(values, seed=1).bootstrap
    assert result.bootstrap == pytest.approx(result.t, abs=0.02)


@pytest.mark.parametrize("values", [{}, {"a": [0.7, 0.8, 0.9]}])
def test_fewer_than_two_subjects_are_refused_in_words(values):
    with pytest.raises(BadInput, match="at least 2 subjects"):
        mean_over_subjects(values)


def test_subjects_of_one_arm_only_are_named():
    with pytest.raises(BadInput, match="in one arm only: e, x"):
        paired_difference(FIRST, {**{k: SECOND[k] for k in "abcd"}, "x": [1.0]})


@pytest.mark.parametrize("bad", [[], [float("nan")], [0.5, float("inf")]])
def test_values_that_are_no_numbers_are_refused(bad):
    with pytest.raises(BadInput, match="Subject b"):
        mean_over_subjects({"a": [0.5], "b": bad, "c": [0.5]})
