"""Which images of a scan tell where fat is, and the fat map that they make."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.measures.fat import (
    FatMap,
    fat_from_fraction,
    fat_from_phases,
    fat_from_water_and_fat,
)
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.name_parts import CHANNEL_WORDS
from napari_ssl_muscle.scans.volume import open_scan

WATER, FAT, FRACTION = "water", "fat", "fat fraction"
IN_PHASE, OPPOSED = "in-phase", "out-of-phase"
_SETS = ((FRACTION,), (WATER, FAT), (IN_PHASE, OPPOSED))
"""Images that make a fat map, the best first."""


@dataclass(frozen=True)
class FatImages:
    """The images of one scan that its fat map is made of.

    Attributes
    ----------
    files
        What each shows → its file: a fat fraction image, water and fat, or in- and opposed-phase.
    """

    files: Mapping[str, Path]

    def read(self, geometry: Geometry) -> FatMap:
        """Read the images and return the fat map on the grid of a label map.

        Raises
        ------
        BadInput
            If an image cannot be read, or does not lie on that grid.
        """
        scans = {role: open_scan(path) for role, path in self.files.items()}
        first, *others = scans.values()
        for other in others:
            difference = first.geometry.differs_from(other.geometry)
            if difference is not None:
                raise BadInput(
                    f"{first.path} and {other.path} do not lie on the same grid ({difference}), "
                    "so they give no fat fraction; give images of one acquisition."
                )
        difference = first.geometry.differs_from(geometry)
        if difference is not None:
            raise BadInput(
                f"{first.path} does not lie on the grid of the label map ({difference}); give "
                "images of the scan that the labels were drawn on."
            )
        images = {role: scan.read() for role, scan in scans.items()}
        if FRACTION in images:
            return fat_from_fraction(images[FRACTION], str(first.path))
        if WATER in images:
            return fat_from_water_and_fat(images[WATER], images[FAT])
        return fat_from_phases(images[IN_PHASE], images[OPPOSED])


def fat_images(
    images: Mapping[str, Path], water: str | None = None, fat: str | None = None
) -> FatImages | None:
    """Choose the images that a fat map is made of; None where there are none.

    Parameters
    ----------
    images
        Channel → file, as a cohort's case has them. What a channel shows is read from its name
        (`water`, `acq-fat_T1w`, `PDFF`; see `CHANNEL_WORDS`). Where several show the same, such as
        the echoes of one series, none is chosen.
    water, fat
        Channels of the water and the fat image, where their names do not say so.

    Raises
    ------
    BadInput
        If only one of `water` and `fat` is given, or the case has no such channel.
    """
    if (water is None) != (fat is None):
        raise BadInput("A fat fraction needs water and fat; name the channels of both.")
    if water is not None and fat is not None:
        for channel in (water, fat):
            if channel not in images:
                raise BadInput(
                    f"There is no channel {channel}; there are {', '.join(sorted(images))}."
                )
        return FatImages({WATER: images[water], FAT: images[fat]})
    shown: dict[str, list[Path]] = {}
    for channel, path in images.items():
        role = shown_by(channel)
        if role is not None:
            shown.setdefault(role, []).append(path)
    for roles in _SETS:
        if all(len(shown.get(role, ())) == 1 for role in roles):
            return FatImages({role: shown[role][0] for role in roles})
    return None


def shown_by(channel: str) -> str | None:
    """Return what an image of that channel shows, one of the values of `CHANNEL_WORDS`."""
    whole = CHANNEL_WORDS.get(channel.lower())
    if whole is not None:
        return whole
    # A single letter says so only by itself.
    words = [word for word in re.split(r"[_\-. ]+", channel.lower()) if len(word) > 1]
    found = {CHANNEL_WORDS[word] for word in words if word in CHANNEL_WORDS}
    return found.pop() if len(found) == 1 else None
