"""Means and paired differences over subjects, with intervals.

The unit is the subject. Slices, sessions and training seeds of one subject are no independent
observations: they are averaged within the subject first. Results are given as intervals and as
single differences to be drawn as dots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_ssl_muscle.errors import BadInput

RESAMPLES = 10_000
"""Bootstrap samples of an interval."""


@dataclass(frozen=True)
class Interval:
    """A mean over subjects with its uncertainty.

    Attributes
    ----------
    subjects
        Value per subject (its seeds and sessions averaged); for a paired comparison the
        differences, second minus first.
    mean, deviation
        Mean and standard deviation (n - 1) over subjects.
    t
        Lower and upper end of the t interval of the mean.
    bootstrap
        Lower and upper end of the percentile bootstrap interval (subjects drawn with
        replacement). With few subjects it is too narrow; the t interval is the cautious one.
    confidence
        Of both intervals, such as 0.95.
    """

    subjects: dict[str, float]
    mean: float
    deviation: float
    t: tuple[float, float]
    bootstrap: tuple[float, float]
    confidence: float

    @property
    def n(self) -> int:
        """Number of subjects."""
        return len(self.subjects)


def mean_over_subjects(
    values: Mapping[str, Sequence[float]],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean over subjects with a t and a bootstrap interval.

    Parameters
    ----------
    values
        Subject → its values (one for each seed, session or both); they are averaged first.
    confidence
        Of the intervals, between 0 and 1.
    seed
        Of the bootstrap; the same seed gives the same interval.

    Raises
    ------
    BadInput
        If there are fewer than two subjects, or a value that is no number.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    means = _checked_means(values)
    n = len(means)
    if n < 2:
        raise BadInput(
            "An interval over subjects needs at least 2 subjects and there is "
            f"{'only 1' if n == 1 else 'none'}; slices, sessions or seeds of one subject cannot "
            "stand in for subjects."
        )
    from scipy.special import stdtrit  # the t quantile without the weight of scipy.stats

    x = np.array(list(means.values()))
    mean, deviation = float(x.mean()), float(x.std(ddof=1))
    tail = (1 - confidence) / 2
    half = float(stdtrit(n - 1, 1 - tail)) * deviation / np.sqrt(n)
    drawn = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    low, high = np.quantile(x[drawn].mean(1), [tail, 1 - tail])
    return Interval(
        subjects=means,
        mean=mean,
        deviation=deviation,
        t=(mean - half, mean + half),
        bootstrap=(float(low), float(high)),
        confidence=confidence,
    )


def paired_difference(
    first: Mapping[str, Sequence[float]],
    second: Mapping[str, Sequence[float]],
    *,
    confidence: float = 0.95,
) -> Interval:
    """Return the difference second minus first, paired over subjects.

    Parameters
    ----------
    first, second
        Subject → its values (one for each seed, session or both) in either arm. The values of a
        subject are averaged within each arm before the difference is taken.
    confidence
        Of the intervals, between 0 and 1.

    Raises
    ------
    BadInput
        If the two arms do not hold the same subjects, there are fewer than two of them, or a
        value is no number.
    """
    unpaired = sorted(set(first) ^ set(second))
    if unpaired:
        raise BadInput(
            "A paired comparison needs every subject in both arms; "
            f"in one arm only: {', '.join(unpaired)}."
        )
    one, other = _checked_means(first), _checked_means(second)
    differences = {subject: [other[subject] - one[subject]] for subject in sorted(one)}
    return mean_over_subjects(differences, confidence=confidence)


def _checked_means(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    means = {}
    for subject, several in values.items():
        numbers = np.asarray(several, float)
        if numbers.size == 0 or not np.isfinite(numbers).all():
            raise BadInput(
                f"Subject {subject} has no value or one that is no finite number; "
                "leave the subject out of all arms, or compare Dice, where a missed muscle is 0."
            )
        means[subject] = float(numbers.mean())
    return means
