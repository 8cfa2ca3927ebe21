"""Where a prediction is wrong: which voxels, of which kind, of which muscle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.evaluation.alignment import Aligned

FALSE_POSITIVE, FALSE_NEGATIVE, WRONG_MUSCLE = 1, 2, 3
"""Values in a picture of errors: drawn and not in the reference; in the reference and not drawn;
in both, but another muscle."""


@dataclass(frozen=True, eq=False)
class Errors:
    """The voxels of the compared slices in which prediction and reference differ.

    Attributes
    ----------
    where
        Flat indices of the wrong voxels.
    predicted, referred
        Their values in the aligned arrays; 0 is background.
    leg
        Number of their leg, from 1; all 1 where legs are together.
    """

    shape: tuple[int, ...]
    where: npt.NDArray[np.intp]
    predicted: npt.NDArray[np.uint16]
    referred: npt.NDArray[np.uint16]
    leg: npt.NDArray[np.uint8]

    def picture(self, value: int | None = None, leg: int | None = None) -> npt.NDArray[np.uint8]:
        """Return an array (z, y, x) of 0 (right), `FALSE_POSITIVE` and so on.

        Parameters
        ----------
        value
            Only this muscle of the aligned table: a voxel that another muscle should have is then
            a false positive, and one that another muscle has a false negative. By default all
            muscles, with `WRONG_MUSCLE` where one stands in another's place.
        leg
            Only this leg.
        """
        drawn, true = (
            (values > 0 if value is None else values == value)
            for values in (self.predicted, self.referred)
        )
        kind = (drawn * FALSE_POSITIVE + true * FALSE_NEGATIVE).astype(np.uint8)
        if leg is not None:
            kind[self.leg != leg] = 0
        picture = np.zeros(self.shape, np.uint8)
        picture.reshape(-1)[self.where] = kind
        return picture

    @property
    def worst_slice(self) -> int | None:
        """Index along z of the slice with most wrong voxels; None if none is wrong."""
        if not self.where.size:
            return None
        return int(np.bincount(self.where // (self.shape[1] * self.shape[2])).argmax())


def find_errors(aligned: Aligned) -> Errors:
    """Return the errors of a prediction, of all muscles that were compared."""
    wrong = (aligned.prediction != aligned.reference) & aligned.compared[:, None, None]
    where = np.flatnonzero(wrong)
    legs = aligned.sides.index.reshape(-1)[where] if aligned.sides is not None else None
    return Errors(
        aligned.prediction.shape,
        where,
        aligned.prediction.reshape(-1)[where],
        aligned.reference.reshape(-1)[where],
        np.ones(where.size, np.uint8) if legs is None else legs,
    )


@dataclass(frozen=True)
class ErrorLocation:
    """Where the figures of one muscle (and leg) are looked at.

    Attributes
    ----------
    value, label
        The muscle's value in the aligned table, and in the prediction.
    leg
        Number of the leg, from 1.
    slice
        Index along z: the slice with most wrong voxels of this muscle, or, if none is wrong, the
        one that shows most of it; None if it is in no compared slice.
    """

    value: int
    leg: int
    slice: int | None
    label: int


def error_locations(aligned: Aligned) -> list[ErrorLocation]:
    """Return one place for each muscle and leg, in the order of an evaluation's results."""
    found = []
    for leg in range(1, len(aligned.legs) + 1):
        here = aligned.in_leg(leg) & aligned.compared[:, None, None]
        for value in aligned.common.table.values:
            ours, theirs = (
                (values == value) & here for values in (aligned.prediction, aligned.reference)
            )
            wrong = (ours != theirs).sum(axis=(1, 2))
            area = wrong if wrong.any() else theirs.sum(axis=(1, 2))
            found.append(
                ErrorLocation(
                    value=value,
                    leg=leg,
                    slice=int(area.argmax()) if area.any() else None,
                    label=aligned.common.label_in_prediction(value),
                )
            )
    return found
