"""What every layout of folders is read as: cases with images and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from napari_ssl_muscle.scans.name_parts import contradictions
from napari_ssl_muscle.scans.naming import case_name, stem_of

Layout = Literal["bids", "nnunet", "flat", "folders"]


@dataclass(frozen=True)
class Case:
    """One subject's session.

    Parameters
    ----------
    name
        Unique in its cohort: `sub-01_ses-2`, or the file's name.
    subject
        Whose it is: `sub-01`, or the part of the name before `_ses-`, or the whole name.
    session
        `ses-2`, or None.
    images
        Channel name → file.
    labels
        The label map, if there is one; the likeliest ground truth of several.
    labels_by_channel
        Channel → its label map, where that is not the same for all images: the label map of one
        run says nothing about another. Channels without one are not in it. None: `labels` are
        those of all images.
    subject_known
        Whether the subject was told, by a BIDS name or by a table, and is not just a file's name.
    side, station
        The leg (left, right, both) and the part of the body (thigh, calf, …) that it shows, as
        its name or a table says; None where nothing does.
    """

    name: str
    subject: str
    session: str | None
    images: Mapping[str, Path]
    labels: Path | None
    labels_by_channel: Mapping[str, Path] | None = None
    subject_known: bool = False
    side: str | None = None
    station: str | None = None

    def labels_for(self, channels: Sequence[str]) -> Path | None:
        """Return the label map that belongs to these images; of several, to the first that has one.

        Images that are used together have to lie on one grid, so that labels of one serve for all.
        """
        if self.labels_by_channel is None:
            return self.labels
        return next(
            (
                self.labels_by_channel[channel]
                for channel in channels
                if channel in self.labels_by_channel
            ),
            None,
        )


@dataclass
class Found:
    """What the names in a folder say."""

    layout: Layout
    cases: list[Case] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def assign_labels(
    name: str,
    images: Mapping[str, Path],
    labels: Sequence[Path],
    notes: list[str],
    disagree: Callable[[Path, Path], tuple[str, ...]] | None = None,
) -> tuple[Path | None, dict[str, Path] | None]:
    """Give each image of a case the label map that belongs to it by name.

    Parameters
    ----------
    name
        Of the case.
    images
        Channel → file.
    labels
        Label maps of the case, the likeliest ground truth first.
    notes
        Gets a sentence for what is not used.
    disagree
        Says what excludes that an image and a label map belong together; by default the parts of
        their names (`contradictions`).

    Returns
    -------
    `labels` and `labels_by_channel` of the case.
    """
    if disagree is None:
        disagree = _names_disagree
    by_channel: dict[str, Path] = {}
    for channel, image in images.items():
        against: list[str] = []
        for path in labels:
            found = disagree(image, path)
            if not found:
                by_channel.setdefault(channel, path)
            against += found
        if labels and channel not in by_channel:
            notes.append(
                f"{image.name} has no labels of its own: {labels[0].name} is of another scan "
                f"({', '.join(dict.fromkeys(against))}) and is not used for it."
            )
    used = list(dict.fromkeys(by_channel.values()))
    if len(used) == 1 and len(by_channel) == len(images):
        others = [path.name for path in labels if path not in used]
        if others:
            notes.append(
                f"{name} has {len(labels)} label maps; {used[0]} is used and "
                f"{', '.join(others)} is not."
            )
        return used[0], None
    for path in labels:
        if path not in used:
            notes.append(f"{path} is used for no scan of {name}.")
    return (used[0] if used else None), by_channel


def _names_disagree(image: Path, labels: Path) -> tuple[str, ...]:
    return contradictions(stem_of(image), case_name(labels))
