"""What a slice must be to be accepted: with labels or without, and of known muscles only."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.muscles import MuscleTable


def require_acceptable(
    z: int, labels: npt.NDArray[Any], table: MuscleTable | None, *, empty: bool
) -> None:
    """Refuse a slice that is not what it would be accepted as.

    Parameters
    ----------
    z
        The slice.
    labels
        Its labels `(y, x)`.
    table
        The muscles; None if they are not known.
    empty
        Whether it is to be accepted as having no muscle.

    Raises
    ------
    BadInput
        If it has labels and would be empty, has none and would not, or has unknown values.
    """
    drawn = bool(labels.any())
    if empty and drawn:
        raise BadInput(
            f"Slice {z} has labels; erase them before it is accepted as empty, or press A "
            "to accept it as it is."
        )
    if not empty and not drawn:
        raise BadInput(f"Slice {z} has no labels; press E to accept it as having no muscle.")
    unknown = () if table is None else table.unknown_values(labels)
    if table is not None and unknown:
        known = ", ".join(f"{muscle.value} {muscle.name}" for muscle in table.muscles[:6])
        more = ", …" if len(table.muscles) > 6 else ""
        raise BadInput(
            f"Slice {z} holds label{'s' if len(unknown) > 1 else ''} "
            f"{', '.join(map(str, unknown))}, which is no muscle of this table ({known}{more}); "
            "erase it, draw with a muscle, or add it with 'Muscles…'."
        )
