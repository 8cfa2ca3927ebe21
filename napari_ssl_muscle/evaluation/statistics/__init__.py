"""Statistics over subjects, in one place to import."""

from napari_ssl_muscle.evaluation.statistics.comparison import (
    MARGIN,
    VERDICT_RULE,
    Comparison,
    Score,
    compare_arms,
    holm,
    mean_by_subject,
    seed_spread,
)
from napari_ssl_muscle.evaluation.statistics.intervals import (
    Interval,
    mean_over_subjects,
    paired_difference,
)
from napari_ssl_muscle.evaluation.statistics.muscles import (
    MuscleSummary,
    dice_by_subject,
    subject_means,
    summarise,
)

__all__ = [
    "MARGIN",
    "VERDICT_RULE",
    "Comparison",
    "Interval",
    "MuscleSummary",
    "Score",
    "compare_arms",
    "dice_by_subject",
    "holm",
    "mean_by_subject",
    "mean_over_subjects",
    "paired_difference",
    "seed_spread",
    "subject_means",
    "summarise",
]
