"""What muscles are called, by whom, and the colour that each of them always has.

The names, abbreviations and colours lie in `resources/muscles/*.tsv`. The colours are Okabe and
Ito's (jfly.uni-koeln.de/color) and Paul Tol's (personal.sron.nl/~pault), plus three light or
saturated ones, and were assigned so that muscles that touch each other stay far apart in CIELAB
also with protanopia, deuteranopia and tritanopia, and all of a thigh at half opacity over grey (a
test simulates these).
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Region = Literal["thigh", "calf"]
Side = Literal["left", "right"]
Colour = tuple[int, int, int]

REGIONS: tuple[Region, ...] = ("thigh", "calf")

# For muscles that the tables do not know, by label value.
SPARE_COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (136, 34, 85),
    (68, 170, 153),
    (123, 95, 217),
    (153, 153, 51),
)

_FORMER_COLOURS: dict[str, Colour] = {
    "sartorius": (123, 95, 217),
    "semitendinosus": (170, 68, 153),
}
"""Model cards and tables of earlier versions hold these, which nobody chose."""

_SIDES: dict[str, Side] = {
    "left": "left",
    "lt": "left",
    "l": "left",
    "right": "right",
    "rt": "right",
    "r": "right",
}


@dataclass(frozen=True)
class KnownMuscle:
    """One row of the tables of muscles.

    Parameters
    ----------
    name
        Standard name in lower case.
    abbreviation
        Its usual abbreviation.
    synonyms
        Other names and abbreviations, as people write them.
    colour
        Red, green, blue; 0 to 255.
    region
        Part of the leg.
    rank
        Place among the muscles that are learned by default, from 1; None if it is not one.
    """

    name: str
    abbreviation: str
    synonyms: tuple[str, ...]
    colour: Colour
    region: Region
    rank: int | None


@cache
def known_muscles() -> tuple[KnownMuscle, ...]:
    """Every muscle of the tables, thigh first, in the order of the files."""
    folder = files("napari_ssl_muscle") / "resources" / "muscles"
    found = []
    for region in REGIONS:
        text = (folder / f"{region}.tsv").read_text(encoding="utf-8")
        for row in csv.DictReader(text.splitlines(), delimiter="\t"):
            code = row["colour"].lstrip("#")
            found.append(
                KnownMuscle(
                    name=row["name"],
                    abbreviation=row["abbreviation"],
                    synonyms=tuple(filter(None, map(str.strip, row["synonyms"].split(",")))),
                    colour=(int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)),
                    region=region,
                    rank=None if row["default"] == "n/a" else int(row["default"]),
                )
            )
    return tuple(found)


@cache
def _by_any_name() -> dict[str, KnownMuscle]:
    names: dict[str, KnownMuscle] = {}
    for muscle in known_muscles():
        for text in (muscle.name, muscle.abbreviation, *muscle.synonyms):
            names.setdefault(text.lower(), muscle)
    return names


def known_muscle(text: str) -> KnownMuscle | None:
    """Look a muscle up by name, abbreviation or synonym, with or without a side."""
    return _by_any_name().get(_split_side(text)[0])


def standard_name(text: str) -> str:
    """Give a muscle its standard name, keeping the side if it says one.

    `VL`, `vastus_lateralis` and `M. Vastus Lateralis` become `vastus lateralis`; `L_VL` and
    `VL (left)` become `vastus lateralis left`. Unknown text comes back in lower case with single
    spaces.
    """
    plain, side = _split_side(text)
    known = _by_any_name().get(plain)
    name = known.name if known else plain
    return f"{name} {side}" if side else name


def side_of(text: str) -> Side | None:
    """Which side a muscle's name says, if it says one."""
    return _split_side(text)[1]


def colour_of(text: str) -> Colour | None:
    """Look up a known muscle's colour; on the right side a lighter or darker one than on the left.

    None if the muscle is unknown.
    """
    known = known_muscle(text)
    if known is None:
        return None
    return _of_right(known.colour) if side_of(text) == "right" else known.colour


def is_default_colour(text: str, colour: Colour) -> bool:
    """Whether a colour is, or was in an earlier version, the program's own for a muscle."""
    known = known_muscle(text)
    return known is not None and colour in (
        known.colour,
        _of_right(known.colour),
        _FORMER_COLOURS.get(known.name),
    )


def _of_right(colour: Colour) -> Colour:
    """Return a dark colour halfway to white, and a light one nearly halfway to black."""
    red, green, blue = colour
    target, share = (255, 0.5) if 0.3 * red + 0.59 * green + 0.11 * blue < 128 else (0, 0.45)
    mixed = (round(part + (target - part) * share) for part in (red, green, blue))
    return (next(mixed), next(mixed), next(mixed))


def _split_side(text: str) -> tuple[str, Side | None]:
    """Take a name apart into lower-case words without the side, and the side."""
    words = re.sub(r"[\s_.,;:()\[\]/-]+", " ", text.lower()).split()
    if len(words) > 1 and words[0] in ("m", "musculus", "muscle"):
        words = words[1:]
    side: Side | None = None
    # A side stands first or last; in the middle `l` may be anything.
    for place in (0, -1):
        if len(words) > 1 and words[place] in _SIDES:
            side = _SIDES[words.pop(place)]
            break
    return " ".join(words), side


def split_side(name: str) -> tuple[str, str]:
    """Return a muscle's standard name without its side, and the side ("left", "right" or "")."""
    standard = standard_name(name)
    side = side_of(standard)
    return (standard.removesuffix(f" {side}"), side) if side else (standard, "")
