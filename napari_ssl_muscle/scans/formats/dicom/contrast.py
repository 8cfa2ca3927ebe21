"""What a series shows (water, fat, in phase, phase image, localiser), from technical tags.

Scanners write it into Image Type (DICOM PS3.3 C.7.6.1.1.2, C.8.3.1.1.1), each in its own words;
where that says nothing, the description of the series is searched for the usual abbreviations.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

Contrast = Literal[
    "water", "fat", "inphase", "opposedphase", "magnitude", "phase", "map", "localiser", "mosaic"
]
"""What a series shows; "magnitude" is any anatomical image of which no more is known."""

ANATOMY: frozenset[Contrast] = frozenset({"water", "fat", "inphase", "opposedphase", "magnitude"})
"""What muscles can be seen in."""

# Siemens: WATER, FAT, IN_PHASE, OPP_PHASE, OUT_PHASE; Philips: W, F, IP, OP; GE: WATER, FAT,
# IN_PHASE, OUT_PHASE. The order matters: a map or phase image of a Dixon scan is no water image.
_WORDS: dict[Contrast, str] = {
    "mosaic": "MOSAIC",
    "localiser": "LOCALIZER",
    "map": "FF FAT_FRACTION FATFRACTION WATER_FRACTION T1_MAP T2_MAP T2_STAR T2_STAR_MAP T2STAR R2 "
    "R2_STAR R2STAR_MAP R2_STAR_MAP B0 B0_MAP B1 ADC FA FIELD_MAP MIP PROJECTION_IMAGE PROJECTION",
    "phase": "P PHASE PHASE_MAP PHASE_IMAGE R REAL I IMAGINARY VELOCITY",
    "water": "WATER W",
    "fat": "FAT F",
    "inphase": "IN_PHASE INPHASE IP",
    "opposedphase": "OUT_PHASE OPP_PHASE OPPOSED_PHASE OUTPHASE OP",
}

_DESCRIPTIONS: dict[Contrast, str] = {
    "localiser": "localizer|localiser|scout|survey|3-?plane(?: loc)?|loc|topogram",
    "map": "ff|fat ?fraction|t2\\*?[ _-]?map|r2\\*?|b0[ _-]?map|b1[ _-]?map|mip",
    "phase": "phase ?map|pha?",
    "water": "w|water|wat",
    "fat": "f|fat",
    "inphase": "in|ip|in-?phase",
    "opposedphase": "opp|op|out|opposed|(?:out|opp|opposed)[ -]?(?:of[ -]?)?phase",
}


def contrast_of(image_type: Sequence[str], description: str = "") -> Contrast:
    """Return what a series shows.

    Parameters
    ----------
    image_type
        The values of Image Type, or of the Frame Type of a multi-frame image.
    description
        The series' description, looked at only where the image type leaves it open.
    """
    words = {value.strip().upper().replace(" ", "_") for value in image_type}
    for contrast, known in _WORDS.items():
        if words & set(known.split()):
            return contrast
    for contrast, pattern in _DESCRIPTIONS.items():
        if re.search(rf"(?:^|[\W_])(?:{pattern})(?:$|[\W_])", description, re.IGNORECASE):
            return contrast
    return "magnitude"
