"""Which images train and which select the weights, when one or two subjects are all there is.

With a split file, whole subjects (or, as published, single slices) are set apart. Without one,
validation is a contiguous block of each case's labelled slices, with a gap of one slice on either
side, because neighbouring slices show nearly the same anatomy. Under eight labelled slices
nothing is set apart: the training then runs its full length and keeps the last weights.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Literal

from napari_ssl_muscle.learning.data.case import FEWEST, middle_block
from napari_ssl_muscle.learning.data.image_cache import ImageStore, Item
from napari_ssl_muscle.scans.split import Split, slice_name

SUBJECT_SHARE = 1 / 8
"""Share of the subjects whose images only validate a pretraining, as the study's 12.5 %."""


@dataclass(frozen=True)
class Holdout:
    """Images that train, images that validate, and a sentence that says how they were chosen."""

    training: list[Item]
    validation: list[Item]
    text: str


def choose(store: ImageStore, split: Split | None, validation: Literal["auto", "none"]) -> Holdout:
    """Choose by the split if there is one, else a block of slices, or nothing for "none"."""
    if split is not None:
        return by_split(store, split)
    return nothing(store) if validation == "none" else by_block(store)


def by_split(store: ImageStore, split: Split) -> Holdout:
    """Choose by a split of subjects, or of slices named ``case:z``; test images take no part."""

    def chosen(names: Sequence[str]) -> list[Item]:
        wanted = set(names)
        return [
            item
            for item in store.items(range(len(store.series)), labelled=True)
            if _key(store, item, split) in wanted
        ]

    training, validation = chosen(split.train), chosen(split.validation)
    if split.leaking:
        text = (
            "LEAKING: training and validation slices come from the same scans "
            f"(split by slice, {split.hash})."
        )
    else:
        text = f"Validated on subject(s) {', '.join(split.validation)} (split {split.hash})."
        if split.subjects_told is False:
            text += " Whose scans they are was read from file names only."
        if not validation:
            text = f"No validation subject in split {split.hash}: the last weights are kept."
    return Holdout(training, validation, text)


def by_block(store: ImageStore) -> Holdout:
    """Set apart a block in the middle of each case's labelled slices, with gaps around it."""
    training: list[Item] = []
    validation: list[Item] = []
    blocks: list[str] = []
    for case in dict.fromkeys(series.case for series in store.series):
        indices = [i for i, series in enumerate(store.series) if series.case == case]
        items = store.items(indices, labelled=True)
        slices = sorted({item.z for item in items})
        block = middle_block(slices)
        if not block:
            training += items
            continue
        validation += [item for item in items if block[0] <= item.z <= block[-1]]
        training += [item for item in items if item.z < block[0] - 1 or item.z > block[-1] + 1]
        blocks.append(f"{block[0] + 1} to {block[-1] + 1} of {case}")
    if not validation:
        text = (
            f"Fewer than {FEWEST} labelled slices: nothing was set apart for validation, the "
            "training runs its full length and the last weights are kept."
        )
    else:
        text = (
            f"Validated on slices {'; '.join(blocks)}: the same subject(s) as in training, so "
            "these figures say little about new subjects."
        )
    return Holdout(training, validation, text)


def nothing(store: ImageStore) -> Holdout:
    """Train on every labelled image; the last weights are kept."""
    items = store.items(range(len(store.series)), labelled=True)
    return Holdout(items, [], "No validation: every labelled slice trained.")


def by_subject(store: ImageStore, held_out: Container[Item] = ()) -> Holdout:
    """Set an eighth of the subjects apart (at least one of three); under three, every 8th slice.

    Those set apart are of middling size among the others: a single foot among thighs, or the only
    scan of both legs, would say nothing of what is learned.

    Parameters
    ----------
    store
        The prepared images, labelled or not.
    held_out
        Images that neither train nor validate.
    """
    subjects = _by_size(store)
    everything = store.items(range(len(store.series)), labelled=False)
    items = [item for item in everything if item not in held_out]
    if len(subjects) >= 3:
        count = max(1, round(SUBJECT_SHARE * len(subjects)))
        # The middle one of each of `count` groups of like size.
        apart = {subjects[(2 * k + 1) * len(subjects) // (2 * count)] for k in range(count)}
        validation = [item for item in items if store.series[item.series].subject in apart]
        text = f"Validated on the scans of {', '.join(sorted(apart))}."
    else:
        validation = [item for item in items if item.z % 8 == 4]
        text = "Fewer than three subjects: validated on every eighth slice of the same scans."
    chosen = set(validation)
    return Holdout([item for item in items if item not in chosen], validation, text)


def _by_size(store: ImageStore) -> list[str]:
    """Return the subjects by the size of their largest image in mm², those of equal size by name.

    What is around a leg was cut away, where the recipe says so: a foot is smaller than a thigh.
    """
    size: dict[str, float] = {}
    for series in store.series:
        (rows, columns), (_, dy, dx) = series.frame.window, series.spacing
        size[series.subject] = max(size.get(series.subject, 0.0), rows * dy * columns * dx)
    return sorted(size, key=lambda subject: (round(size[subject]), subject))


def _key(store: ImageStore, item: Item, split: Split) -> str:
    series = store.series[item.series]
    return series.subject if split.unit == "subject" else slice_name(series.case, item.z)
