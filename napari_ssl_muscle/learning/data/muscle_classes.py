"""What the classes of a network are: a table's muscles, without their side where it has pairs.

Left legs are mirrored and legs are cut out before a network sees them, so it cannot tell a left
muscle from a right one. Where a table has pairs, the network learns the muscle, and a voxel gets
its side from the leg that it lies in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.muscles.names import Side, known_muscle, split_side, standard_name

Labels = npt.NDArray[np.integer[Any]]

LEFT: Final = 1
"""In arrays of legs: the patient's left one. 0 is no leg."""

RIGHT: Final = 2
"""In arrays of legs: the patient's right one."""

LEGS: Final[dict[Side, int]] = {"left": LEFT, "right": RIGHT}


@dataclass(frozen=True)
class MuscleClasses:
    """Classes 1 to n of a network, and their label values.

    Parameters
    ----------
    table
        The muscles.
    from_leg
        Whether muscles that differ by their side only are one class; their label values then
        depend on the leg. A muscle of such a table that names a side without having a partner is
        labelled in its own leg only.
    """

    table: MuscleTable
    from_leg: bool = False

    @classmethod
    def for_training(cls, table: MuscleTable) -> MuscleClasses:
        """Return the classes that a new network should learn: without sides if there are pairs."""
        return cls(table, bool(paired(table)))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, in order."""
        if not self.from_leg:
            return self.table.names
        return tuple(dict.fromkeys(self._bases))

    @cached_property
    def short_names(self) -> tuple[str, ...]:
        """A short name for each class where there is one, else its name."""
        given = {muscle.name: muscle.abbreviation for muscle in self.table.muscles}
        known = [known_muscle(name) for name in self.names]
        return tuple(
            given.get(name) or (muscle.abbreviation if muscle is not None else name)
            for name, muscle in zip(self.names, known, strict=True)
        )

    @property
    def count(self) -> int:
        """Number of classes with the background."""
        return len(self.names) + 1

    def same(self, other: MuscleClasses) -> bool:
        """Whether both have the same muscles in the same order, whatever labels make of them."""
        return self._standard == other._standard

    def encode(self, values: Labels) -> npt.NDArray[np.uint8]:
        """Turn label values into class indices; values that are not in the table become 0."""
        classes = self.table.encode(values)
        return self._class_of[classes] if self.from_leg else classes

    def decode(self, classes: npt.NDArray[np.uint8], legs: npt.NDArray[np.uint8] | None) -> Labels:
        """Turn class indices into label values.

        Parameters
        ----------
        classes
            Class indices.
        legs
            `LEFT` or `RIGHT` of each voxel, of the same shape; used where classes have no side.
        """
        if not self.from_leg:
            return self.table.decode(classes)
        if legs is None:
            raise ValueError("labels of both sides need to know the legs")
        return self._values[legs, classes]

    def legs_of(self, values: Labels) -> tuple[int, int]:
        """Return how many voxels label values call left, and how many right."""
        named = np.bincount(self.table.encode(values).ravel(), minlength=len(self._sides) + 1)[1:]
        left, right = (
            int(sum(count for count, each in zip(named, self._sides, strict=True) if each == side))
            for side in LEGS
        )
        return left, right

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """The sides that the table names: none, one or both."""
        return tuple(side for side in LEGS if side in self._sides)

    @cached_property
    def _bases(self) -> list[str]:
        return [split_side(name)[0] for name in self.table.names]

    @cached_property
    def _sides(self) -> list[str]:
        return [split_side(name)[1] for name in self.table.names]

    @cached_property
    def _standard(self) -> list[str]:
        return [standard_name(name) for name in self.names]

    @cached_property
    def _class_of(self) -> npt.NDArray[np.uint8]:
        """Class of a muscle's place in the table, counted from 1."""
        return np.array([0, *(self.names.index(base) + 1 for base in self._bases)], np.uint8)

    @cached_property
    def _values(self) -> Labels:
        """Label value by leg and class; 0 where the table has none for that leg."""
        highest = max(self.table.values, default=0)
        values = np.zeros((3, self.count), np.min_scalar_type(highest))
        for muscle, base, side in zip(self.table.muscles, self._bases, self._sides, strict=True):
            for name, leg in LEGS.items():
                if side in ("", name):
                    values[leg, self.names.index(base) + 1] = muscle.value
        return values


def paired(table: MuscleTable) -> tuple[str, ...]:
    """Return the muscles, without side, of which a table has a left and a right one."""
    sides: dict[str, set[str]] = {}
    for name in table.names:
        base, side = split_side(name)
        sides.setdefault(base, set()).add(side)
    return tuple(base for base, found in sides.items() if {"left", "right"} <= found)


def describe_sides(classes: MuscleClasses, mirrored: bool) -> str | None:
    """Return what a training should say of left and right, or None if there is nothing to say.

    Parameters
    ----------
    classes
        What is learned.
    mirrored
        Whether left legs are mirrored.
    """
    if classes.from_leg:
        return (
            f"Left and right muscles are learned as one ({', '.join(classes.names)}); labels get "
            "their side from the leg that they lie in."
        )
    if classes.sides and mirrored:
        return (
            f"The muscle table names the {' and the '.join(classes.sides)} side without pairs, and "
            "left legs are learned mirrored: the model will give these names in both legs. "
            "Choose muscles of both sides, or name them without a side."
        )
    return None


def in_order_of(table: MuscleTable, known: MuscleClasses) -> MuscleTable:
    """Return a table in a model's order if both have the same muscles, else as it is.

    The order of classes is free, and a model's last layer can go on learning only in its own.
    """
    classes = MuscleClasses.for_training(table)
    standard = [standard_name(name) for name in known.names]
    mine = [standard_name(name) for name in classes.names]
    if sorted(mine) != sorted(standard):
        return table

    def place(name: str) -> int:
        return standard.index(split_side(name)[0] if classes.from_leg else standard_name(name))

    return MuscleTable(tuple(sorted(table.muscles, key=lambda muscle: place(muscle.name))))
