"""What the parts of a scan's name say: whose it is, from which visit and acquisition, which image.

`sub-01_ses-2_run-1_T1w` says so in BIDS' words, `P01_post_water` in those that people use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CHANNEL_WORDS: Mapping[str, str] = {
    "water": "water",
    "w": "water",
    "wat": "water",
    "fat": "fat",
    "f": "fat",
    "in": "in-phase",
    "ip": "in-phase",
    "inphase": "in-phase",
    "out": "out-of-phase",
    "op": "out-of-phase",
    "opp": "out-of-phase",
    "oop": "out-of-phase",
    "opposed": "out-of-phase",
    "outphase": "out-of-phase",
    "oppphase": "out-of-phase",
    "opposedphase": "out-of-phase",
    "ff": "fat fraction",
    "pdff": "fat fraction",
    "fatfraction": "fat fraction",
}
"""What the images of one Dixon acquisition are called, and what it means: they lie on one grid and
show the same legs at the same moment."""

_ENTITY = re.compile(r"(?:^|_)([a-zA-Z]+)-([^_]+)")
_SEPARATOR = re.compile(r"[_\-. ]+")
# Entities that tell the images of one acquisition apart (BIDS 1.10, magnetic resonance imaging).
_CHANNEL_KEYS = frozenset({"echo", "part", "inv", "flip", "mt"})
# Entities that say how labels were made, or of which muscle they are.
_LABEL_KEYS = frozenset({"desc", "label", "seg", "space", "res", "den", "atlas", "sub", "ses"})
# Suffixes of BIDS images of the body; another last word of a label map's name says no image.
_IMAGE_SUFFIXES = frozenset(
    {"t1w", "t2w", "pdw", "t2starw", "flair", "t1map", "t2map", "pdmap", "t2starmap", "r2starmap"}
    | {"megre", "mese", "mtr", "mtsat", "inplanet1", "inplanet2", "pdt2", "dixon", "unit1"}
)
_VISIT = re.compile(
    r"(pre|post|baseline|base|bl|follow ?up|fu|visit|vis|v|ses|session|tp|timepoint|time|t|scan|"
    r"rescan|retest|test|run|rep|repeat|acq|day|d|week|wk|month|m|year|y|exam|before|after|"
    r"first|second|final|end|start)\d{0,3}|\d+(st|nd|rd|th)"
)
_DATE_OR_CHANNEL = re.compile(r"(19|20)\d{6}|\d{4}")
_PHASE = re.compile(r"(in|out|opp|opposed)[_\- ](?:of[_\- ])?phase", re.IGNORECASE)
_WORD_LAST = r"(?P<of>.+?)[_\-. ](?P<word>[A-Za-z]+)"
_WORD_FIRST = r"(?P<word>[A-Za-z]+)[_\-. ](?P<of>.+)"
SIDE_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("left", "l", "lt", "li", "links"), "left"),
    **dict.fromkeys(("right", "r", "rt", "re", "rechts"), "right"),
    **dict.fromkeys(("both", "bilateral"), "both"),
}
"""What the side is called that a scan shows."""

STATIONS: Mapping[str, str] = {
    **dict.fromkeys(("thigh", "thighs", "upperleg", "oberschenkel"), "thigh"),
    **dict.fromkeys(("calf", "calves", "lowerleg", "shank", "unterschenkel"), "calf"),
    **{word: word for word in ("pelvis", "hip", "knee", "foot")},
}
"""What the part of the body is called that a scan shows."""

_CONTRASTS = re.compile(r"t[12](w|star|map)?|pd(w)?|dixon|te\d+|echo\d*|e\d|stir|dwi|flair")


@dataclass(frozen=True)
class Channel:
    """An image of an acquisition that has several: `leg_water` is the water image of `leg`."""

    of: str
    word: str


def entities(stem: str) -> list[tuple[str, str]]:
    """Read the entities of a BIDS name: `sub-01_acq-2_T1w` has (`sub`, `01`) and (`acq`, `2`)."""
    return _ENTITY.findall(stem)


def subject_and_session(name: str) -> tuple[str, str | None]:
    """Read subject and session from a case's name: `sub-01_ses-2` gives `sub-01` and `ses-2`.

    `X_ses-2` is a session of X. Any other name is a subject of its own.
    """
    known = dict(entities(name))
    session = f"ses-{known['ses']}" if "ses" in known else None
    if "sub" in known:
        return f"sub-{known['sub']}", session
    return (name.partition("_ses-")[0] if session else name), session


def side_and_station(name: str) -> tuple[str | None, str | None]:
    """Read which leg and part of the body a name says: `P01_left_calf` gives `left` and `calf`.

    A single letter says a side only in BIDS' words (`hemi-L`); None where the name says nothing.
    """
    words = [word.lower() for word in re.split(r"[^A-Za-z]+", name)]
    hemi = dict(entities(name)).get("hemi", "").lower()
    said = [hemi, *(word for word in words if len(word) > 2)]
    sides = {SIDE_WORDS[word] for word in said if word in SIDE_WORDS}
    stations = {STATIONS[word] for word in words if word in STATIONS}
    return (
        sides.pop() if len(sides) == 1 else None,
        stations.pop() if len(stations) == 1 else None,
    )


def names_a_subject(name: str) -> bool:
    """Whether a name says in BIDS' words whose scan it is."""
    return any(key in ("sub", "ses") for key, _ in entities(name))


def contradictions(scan: str, labels: str) -> tuple[str, ...]:
    """Say which parts of the names of a scan and a label map exclude that they belong together.

    They belong together only if every part that both names carry agrees, apart from parts that
    tell images of one acquisition apart (echo, part, water and fat): these have to lie on one
    grid, which the names do not tell.

    Parameters
    ----------
    scan, labels
        Names without suffix and without endings such as `_dseg`.

    Returns
    -------
    Such as `("run-1 against run-2",)`; empty if nothing speaks against it.
    """
    ours, theirs = dict(entities(scan)), dict(entities(labels))
    found = [
        f"{key}-{ours[key]} against {key}-{theirs[key]}"
        for key in ours
        if key in theirs
        and key not in _CHANNEL_KEYS | (_LABEL_KEYS - {"sub", "ses"})
        and _value(key, ours[key]) != _value(key, theirs[key])
    ]
    image, drawn_on = (_last_word(name) for name in (scan, labels))
    if image and drawn_on in _IMAGE_SUFFIXES and image in _IMAGE_SUFFIXES and image != drawn_on:
        found.append(f"{image} against {drawn_on}")
    return tuple(found)


def channel_of(name: str) -> Channel | None:
    """Return which image of which acquisition a name is of, where it says one of `CHANNEL_WORDS`.

    The word stands last or first: `leg_water`, `water-leg`; the first that is left is the name.
    """
    name = _PHASE.sub(r"\1phase", name)
    for pattern in _WORD_LAST, _WORD_FIRST:
        match = re.fullmatch(pattern, name)
        if match and match["word"].lower() in CHANNEL_WORDS:
            return Channel(match["of"], match["word"])
    return None


def likely_person(name: str) -> str:
    """Return whom a name is likely of, without words for visits, sides and kinds of image.

    `P01_pre`, `P01_post_left` and `P01_20240131` are likely all of `P01`. A guess, to be shown and
    corrected: the same person may be called anything.
    """
    words = [word for word in _SEPARATOR.split(name) if word]
    left = [word for word in words if not _says_no_person(word.lower())]
    # Four or eight digits are a year, a date or nnU-Net's channel only beside another number.
    dates = [word for word in left if _DATE_OR_CHANNEL.fullmatch(word)]
    numbered = [word for word in left if word not in dates and re.search(r"\d", word)]
    left = [word for word in left if not (numbered and word in dates)]
    # "v1", "t2" and the like are all that some names have.
    return "_".join(left) if any(re.search(r"[A-Za-z0-9]{2}", word) for word in left) else name


def likely_persons(subjects: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return person → names of subjects, sorted, where several are likely of one person."""
    found: dict[str, list[str]] = {}
    for subject in sorted(set(subjects)):
        if names_a_subject(subject):
            continue
        found.setdefault(likely_person(subject).lower(), []).append(subject)
    return {person: tuple(names) for person, names in found.items() if len(names) > 1}


def says_only_the_image(name: str) -> bool:
    """Whether a name says nothing but which kind of image it is: `water`, `T1w`, `fat_e2`."""
    words = [word.lower() for word in _SEPARATOR.split(name) if word]
    return bool(words) and all(
        word in CHANNEL_WORDS or _CONTRASTS.fullmatch(word) or word in _IMAGE_SUFFIXES
        for word in words
    )


def _says_no_person(word: str) -> bool:
    return (
        word in SIDE_WORDS
        or word in CHANNEL_WORDS
        or _VISIT.fullmatch(word) is not None
        or _CONTRASTS.fullmatch(word) is not None
    )


def _value(key: str, value: str) -> str:
    """Return an entity's value as it is compared: numbers without zeros, no words for channels."""
    if value.isdecimal():
        return str(int(value))
    value = value.lower()
    if key == "acq":
        for word in sorted((w for w in CHANNEL_WORDS if len(w) > 1), key=len, reverse=True):
            if value.endswith(word) or value.startswith(word):
                return value.replace(word, "", 1)
    return value


def _last_word(name: str) -> str:
    word = name.rpartition("_")[2]
    return "" if "-" in word else word.lower()
