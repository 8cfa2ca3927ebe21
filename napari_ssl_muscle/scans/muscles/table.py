"""The muscle table: which label value means which muscle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.muscles.names import (
    SPARE_COLOURS,
    Colour,
    Region,
    colour_of,
    is_default_colour,
    known_muscle,
    known_muscles,
    standard_name,
)

NOT_ANNOTATED = frozenset(
    {"ignore", "ignored", "unlabeled", "unlabelled", "void", "not annotated", "unannotated"}
)
"""Names, in lower case, of a label that says that nobody looked at these voxels."""

Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Muscle:
    """One muscle of a table.

    Parameters
    ----------
    value
        The label value of its voxels, above 0.
    name
        Full name; for a muscle that the program knows, the standard one.
    abbreviation
        Short name, or empty.
    colour
        Red, green and blue from 0 to 255 as a file or a person gave them.
    """

    value: int
    name: str
    abbreviation: str = ""
    colour: Colour | None = None

    @property
    def shown_colour(self) -> Colour:
        """The colour to draw with: the table's own, that of a known muscle, or a spare one."""
        own = self.colour
        if own is not None and not is_default_colour(self.name, own):
            return own
        return colour_of(self.name) or own or SPARE_COLOURS[(self.value - 1) % len(SPARE_COLOURS)]


@dataclass(frozen=True)
class MuscleTable:
    """Muscles in the order in which a network learns them; the background is not among them.

    Class 0 is the background and class i the i-th muscle, whatever label values files use.

    Parameters
    ----------
    ignored
        Label values of voxels that nobody annotated, nnU-Net's "ignore": neither a muscle nor
        background.

    Raises
    ------
    BadInput
        If a value is not above 0, or a value or name comes twice.
    """

    muscles: tuple[Muscle, ...]
    ignored: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "muscles", tuple(self.muscles))
        if len(self.muscles) > 254:
            raise BadInput("A muscle table holds at most 254 muscles; take out some of them.")
        values: set[int] = set()
        names: set[str] = set()
        for muscle in self.muscles:
            if muscle.value <= 0:
                raise BadInput(
                    f"The muscle table gives {muscle.name} the value {muscle.value}; "
                    "values of muscles are above 0."
                )
            if muscle.value in values:
                raise BadInput(
                    f"The muscle table has the value {muscle.value} twice; "
                    "give each muscle its own."
                )
            if muscle.name.lower() in names:
                raise BadInput(
                    f"The muscle table has {muscle.name} twice; give each muscle its own name."
                )
            values.add(muscle.value)
            names.add(muscle.name.lower())

    @property
    def names(self) -> tuple[str, ...]:
        """Full names, in order."""
        return tuple(muscle.name for muscle in self.muscles)

    @property
    def values(self) -> tuple[int, ...]:
        """Label values, in order."""
        return tuple(muscle.value for muscle in self.muscles)

    def by_name(self, text: str) -> Muscle:
        """Find a muscle by full name, abbreviation or synonym, in any case.

        Raises
        ------
        BadInput
            If there is no such muscle in the table; the sentence lists those that there are.
        """
        wanted = text.strip().lower()
        for muscle in self.muscles:
            if wanted in (muscle.name.lower(), muscle.abbreviation.lower()) and wanted:
                return muscle
        for muscle in self.muscles:
            if standard_name(muscle.name) == standard_name(text):
                return muscle
        raise BadInput(
            f"There is no muscle {text!r} in the table; there are {', '.join(self.names)}."
        )

    def select(self, names: Sequence[str]) -> MuscleTable:
        """Keep only some muscles, in the given order and with their own values.

        Raises
        ------
        BadInput
            If a name is not in the table, comes twice, or none is given.
        """
        if not names:
            raise BadInput("No muscle is chosen; choose at least one.")
        return MuscleTable(tuple(self.by_name(name) for name in names), self.ignored)

    def colours(self) -> dict[int, tuple[float, float, float, float]]:
        """Red, green, blue and opacity from 0 to 1 for each label value."""
        return {
            muscle.value: (
                muscle.shown_colour[0] / 255,
                muscle.shown_colour[1] / 255,
                muscle.shown_colour[2] / 255,
                1.0,
            )
            for muscle in self.muscles
        }

    def unknown_values(self, values: Labels) -> tuple[int, ...]:
        """Label values, other than 0, that are in an array but not in the table."""
        return tuple(sorted(set(present_values(values)) - {0, *self.values, *self.ignored}))

    def require_known(self, values: Labels, name: str) -> None:
        """Refuse label values that are not in the table.

        Raises
        ------
        BadInput
            If there are such values.
        """
        unknown = self.unknown_values(values)
        if unknown:
            raise BadInput(
                f"{name} holds the label values {', '.join(map(str, unknown))}, which the muscle "
                f"table does not name (it has {', '.join(map(str, self.values))}); correct the "
                "labels or add these values to the table."
            )

    @cached_property
    def _classes(self) -> npt.NDArray[np.uint8]:
        lookup = np.zeros(max(self.values, default=0) + 1, np.uint8)
        lookup[list(self.values)] = np.arange(1, len(self.muscles) + 1)
        return lookup

    @cached_property
    def _values(self) -> Labels:
        highest = max(self.values, default=0)
        return np.array([0, *self.values], np.min_scalar_type(highest))

    def encode(self, values: Labels) -> npt.NDArray[np.uint8]:
        """Turn label values into class indices 0..n; values that are not in the table become 0."""
        inside = (values > 0) & (values < len(self._classes))
        return self._classes[np.where(inside, values, 0)]

    def decode(self, classes: Labels) -> Labels:
        """Turn class indices 0..n into label values, in the smallest type that holds them."""
        return self._values[classes]

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the table as plain data for JSON."""
        return [
            {
                "value": muscle.value,
                "name": muscle.name,
                "abbreviation": muscle.abbreviation,
                "colour": list(muscle.shown_colour),
            }
            for muscle in self.muscles
        ]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> MuscleTable:
        """Read back what `to_rows` wrote; abbreviation and colour may be absent.

        Raises
        ------
        BadInput
            If a row has no value or name.
        """
        muscles = []
        for row in rows:
            try:
                colour: Colour | None = None
                if row.get("colour"):
                    red, green, blue = row["colour"]
                    colour = (int(red), int(green), int(blue))
                short = str(row.get("abbreviation", ""))
                muscles.append(Muscle(int(row["value"]), str(row["name"]), short, colour))
            except (KeyError, TypeError, ValueError) as error:
                raise BadInput(
                    f"The muscle table has a row without value, name or a proper colour: {row}."
                ) from error
        return cls(tuple(muscles))

    def same_muscles(self, other: MuscleTable) -> bool:
        """Whether both have the same muscles in the same order, whatever values they use."""
        return [standard_name(name) for name in self.names] == [
            standard_name(name) for name in other.names
        ]

    def same_labels(self, other: MuscleTable) -> bool:
        """Whether both give each label value the same muscle, in whatever order and colour."""
        mine, theirs = (
            {muscle.value: standard_name(muscle.name) for muscle in table.muscles}
            for table in (self, other)
        )
        return mine == theirs


def present_values(values: Labels) -> tuple[int, ...]:
    """Every different value of a label map, sorted; much faster than sorting all voxels."""
    if values.size == 0:
        return ()
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        return tuple(int(value) for value in np.unique(values))
    seen = np.zeros(high + 1, bool)
    seen[values.ravel()] = True
    return tuple(int(value) for value in np.flatnonzero(seen))


def tidy_table(rows: Iterable[tuple[int, str, str, Colour | None]]) -> MuscleTable:
    """Make a table of what a file says: `(value, text, abbreviation, colour)`.

    Rows named as in `NOT_ANNOTATED` are no muscles. Known muscles get their standard name, and
    keep the file's own short form. Where two rows would get the same name, both keep the file's
    words.
    """
    given = list(rows)
    ignored = tuple(row[0] for row in given if " ".join(row[1].lower().split("_")) in NOT_ANNOTATED)
    found = [row for row in given if row[0] not in ignored]
    standard = [standard_name(text) for _, text, _, _ in found]
    muscles = []
    for (value, text, short, colour), name in zip(found, standard, strict=True):
        known = known_muscle(text)
        if known is None or standard.count(name) > 1:
            muscles.append(Muscle(value, text.strip(), short.strip(), colour))
            continue
        own_short = text.strip() if len(text.strip()) < len(known.name) // 2 else ""
        muscles.append(
            Muscle(value, name, short.strip() or own_short or known.abbreviation, colour)
        )
    return MuscleTable(tuple(muscles), ignored)


def default_table(region: Region) -> MuscleTable:
    """Make the table of the six muscles of thigh or calf learned by default, values 1 to 6."""
    ranked = [muscle for muscle in known_muscles() if muscle.region == region and muscle.rank]
    ranked.sort(key=lambda muscle: muscle.rank or 0)
    return MuscleTable(
        tuple(
            Muscle(value, muscle.name, muscle.abbreviation, muscle.colour)
            for value, muscle in enumerate(ranked, start=1)
        )
    )


def table_by_values(*labels: npt.NDArray[np.integer]) -> MuscleTable:
    """Return a table that names every value in some arrays after itself: "label 1", "label 2"."""
    found = sorted({value for values in labels for value in present_values(values)} - {0})
    return MuscleTable(tuple(Muscle(value, f"label {value}") for value in found))
