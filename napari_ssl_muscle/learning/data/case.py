"""What learning is given: scans with or without labels, whose subject is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from napari_ssl_muscle.scans.volume import LabelMap, Scan

FEWEST = 8
"""Labelled slices of a case under which no block is set apart for validation."""

BLOCK_SHARE = 1 / 6
"""Share of the labelled slices in the validation block: near the study's 12.5 %, at least two."""


@dataclass(frozen=True)
class TrainingCase:
    """One session of one subject.

    Attributes
    ----------
    name, subject
        The case's name in its cohort, and whose leg it is; splits are by subject.
    scans
        One scan per input channel, all on one grid.
    labels
        The label map, or None for a scan that only the pretext learns from.
    accepted_empty
        Slices (canonical z) in which a person confirmed that there is no muscle. Any other slice
        without a label counts as unlabelled, not as background.
    held_out
        Slices (canonical z) that never train; they are there to compare models.
    """

    name: str
    subject: str
    scans: tuple[Scan, ...]
    labels: LabelMap | None = None
    accepted_empty: frozenset[int] = field(default_factory=frozenset)
    held_out: frozenset[int] = field(default_factory=frozenset)


def middle_block(slices: Sequence[int]) -> list[int]:
    """Return the block of a case's labelled slices (sorted) that validates where no subject does.

    It lies in the middle; none of fewer than `FEWEST`.
    """
    if len(slices) < FEWEST:
        return []
    length = max(2, round(BLOCK_SHARE * len(slices)))
    first = (len(slices) - length) // 2
    return list(slices[first : first + length])
