"""Does one arm of an experiment do better than another? A verdict over subjects, in words.

The unit is the subject: seeds are averaged within a subject, and the arms are paired over subjects.
Two questions are asked of the same differences. Are they on one side of zero (a two-sided paired t
test)? Are they within a margin that does not matter (two one-sided t tests; Schuirmann 1987,
doi:10.1007/BF01068419)? A wide interval around zero answers neither. Where several arms are
compared, the p-values of either question are corrected together (Holm 1979, Scand J Stat 6:65).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np

from napari_ssl_muscle.evaluation.statistics.intervals import Interval, paired_difference

MARGIN = 0.02
"""Difference in Dice below which two arms count as equal.

Two labellings of the same thigh agree to a mean Dice of about 0.9, so less could not be seen.
"""

LEVEL = 0.05
"""Level of the tests, over all comparisons of a family together."""

SEEDS = 3
"""Seeds from which there is a verdict: fewer do not show how far trainings lie apart.

One model tests all subjects of a split, so its luck moves every difference the same way.
"""

Verdict = Literal["helps", "equal within 0.02", "no evidence either way", "hurts"]

VERDICT_RULE = (
    "“Helps” and “hurts”: the paired t test over subjects finds a difference, and every seed "
    "alone points the same way. “Equal within 0.02”: two one-sided t tests bound the difference, "
    "and every seed alone stays within the margin; this goes before the other two. Level 0.05, "
    "Holm’s correction over all comparisons together. Otherwise, and with fewer than three seeds, "
    "there is no evidence either way, which does not mean that the arms are equal."
)


class Score(NamedTuple):
    """One figure of one trained model on one subject."""

    subject: str
    seed: int
    value: float


@dataclass(frozen=True)
class Comparison:
    """A second arm against a first one.

    Attributes
    ----------
    first, second
        Subject → its value in either arm, seeds averaged; the same subjects.
    difference
        Mean over subjects of second minus first.
    interval
        Of the difference, over subjects; None with a single one.
    by_seed
        Seed → mean difference over subjects of this seed alone.
    spread
        Seeds' standard deviation in either arm (`seed_spread`).
    p_different, p_equal
        Of the t test and of the two one-sided tests, after Holm's correction; None with a single
        subject.
    verdict
        See `VERDICT_RULE`.
    """

    first: dict[str, float]
    second: dict[str, float]
    difference: float
    interval: Interval | None
    by_seed: dict[int, float]
    spread: tuple[float | None, float | None]
    p_different: float | None
    p_equal: float | None
    verdict: Verdict

    @property
    def interval_text(self) -> str:
        """The t interval of the difference: "-0.012 to +0.034"."""
        if self.interval is None:
            return "one test subject: no interval"
        low, high = self.interval.t
        return f"{low:+.3f} to {high:+.3f}"


def compare_arms(
    arms: Mapping[str, tuple[Iterable[Score], Iterable[Score]]],
) -> dict[str, Comparison]:
    """Compare pairs of arms, as one family of tests.

    Parameters
    ----------
    arms
        Name of a comparison → scores of its first and of its second arm. Several scores of a
        subject and a seed are averaged. What only one of the arms has (a subject, a seed of a
        subject) is left out; a comparison that has nothing left is not in the result.
    """
    paired = {name: _paired(*both) for name, both in arms.items()}
    found = {name: _differences(*both) for name, both in paired.items() if both[0]}
    tested = {name: entry for name, entry in found.items() if entry.p_different is not None}
    different = holm([entry.p_different or 0.0 for entry in tested.values()])
    equal = holm([entry.p_equal or 0.0 for entry in tested.values()])
    corrected = dict(zip(tested, zip(different, equal, strict=True), strict=True))
    return {
        name: _judged(entry, *corrected.get(name, (None, None))) for name, entry in found.items()
    }


def mean_by_subject(scores: Iterable[Score]) -> dict[str, float]:
    """Return subject → its mean: over the scores of a seed, and then over seeds."""
    return {subject: fmean(seeds.values()) for subject, seeds in _by_seed(scores).items()}


def seed_spread(scores: Iterable[Score]) -> float | None:
    """Return the standard deviation over seeds within a subject, pooled over subjects.

    It is the root of the mean variance (n - 1) of the subjects that have several seeds; None where
    none has. An interval over subjects does not show it: subjects may agree on a mean around which
    the seeds lie far apart.
    """
    variances = [
        float(np.var(list(seeds.values()), ddof=1))
        for seeds in _by_seed(scores).values()
        if len(seeds) > 1
    ]
    return float(np.sqrt(fmean(variances))) if variances else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values after Holm's step-down correction, in the order given."""
    count = len(p_values)
    corrected, largest = [0.0] * count, 0.0
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def paired_p_values(differences: Sequence[float], margin: float = MARGIN) -> tuple[float, float]:
    """Return the p-values of the paired t test and of the two one-sided tests.

    Parameters
    ----------
    differences
        One for each subject; at least two.
    margin
        Of the equivalence: the null hypothesis is a mean difference of at least so much either way.
    """
    from scipy.special import stdtr  # the t distribution without the weight of scipy.stats

    x = np.asarray(differences, float)
    mean, error = float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x)))

    def below(shift: float) -> float:
        """Probability of a mean so low where the true one is `shift`."""
        if error < 1e-12:  # subjects that agree to the last digit
            return 1.0 if mean >= shift else 0.0
        return float(stdtr(len(x) - 1, (mean - shift) / error))

    different = 1.0 if abs(mean) < 1e-12 and error < 1e-12 else 2 * min(below(0), 1 - below(0))
    return different, max(below(margin), 1 - below(-margin))


def _by_seed(scores: Iterable[Score]) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, list[float]]] = {}
    for score in scores:
        found.setdefault(score.subject, {}).setdefault(score.seed, []).append(score.value)
    return {
        subject: {seed: fmean(values) for seed, values in sorted(seeds.items())}
        for subject, seeds in sorted(found.items())
    }


def _paired(first: Iterable[Score], second: Iterable[Score]) -> tuple[list[Score], list[Score]]:
    """Return the scores whose subject and seed are in both arms."""
    one, other = list(first), list(second)
    common = {score[:2] for score in one} & {score[:2] for score in other}
    return [s for s in one if s[:2] in common], [s for s in other if s[:2] in common]


def _differences(first: list[Score], second: list[Score]) -> Comparison:
    """Return a comparison before Holm's correction."""
    one, other = mean_by_subject(first), mean_by_subject(second)
    differences = {subject: other[subject] - one[subject] for subject in one}
    before, after = _by_seed(first), _by_seed(second)
    seeds = sorted({score.seed for score in first})
    several = len(differences) > 1
    p_values = paired_p_values(list(differences.values())) if several else (None, None)
    return Comparison(
        first=one,
        second=other,
        difference=fmean(differences.values()),
        interval=paired_difference(_listed(one), _listed(other)) if several else None,
        by_seed={
            seed: fmean(after[s][seed] - before[s][seed] for s in before if seed in before[s])
            for seed in seeds
        },
        spread=(seed_spread(first), seed_spread(second)),
        p_different=p_values[0],
        p_equal=p_values[1],
        verdict="no evidence either way",
    )


def _listed(values: Mapping[str, float]) -> dict[str, list[float]]:
    return {subject: [value] for subject, value in values.items()}


def _judged(found: Comparison, p_different: float | None, p_equal: float | None) -> Comparison:
    """Return a comparison with p-values that are corrected, and the verdict that follows."""
    verdict: Verdict = "no evidence either way"
    seeds = found.by_seed.values()
    if p_different is None or p_equal is None or len(seeds) < SEEDS:
        pass
    elif p_equal < LEVEL and all(abs(d) < MARGIN for d in seeds):
        verdict = "equal within 0.02"
    elif p_different < LEVEL:
        if all(d > 0 for d in seeds):
            verdict = "helps"
        elif all(d < 0 for d in seeds):
            verdict = "hurts"
    return replace(found, p_different=p_different, p_equal=p_equal, verdict=verdict)
