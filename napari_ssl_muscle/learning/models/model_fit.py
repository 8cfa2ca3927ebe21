"""Whether a model suits the open scan, checked before it is used and without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ssl_muscle.learning.models.card import ListedModel


@dataclass(frozen=True, eq=False)
class ScanProperties:
    """A scan, ``(z, y, x)`` or ``(y, x)`` with its spacing in mm, and the models that may suit it.

    `others` are taken instead of the `chosen` one if it does not suit; none if the user chose.
    """

    image: np.ndarray
    spacing: tuple[float, float, float]
    chosen: ListedModel | None
    others: tuple[ListedModel, ...] = ()


@dataclass(frozen=True)
class ModelFit:
    """A model, and sentences on how the scan differs from what it learned from."""

    model: ListedModel | None
    notes: tuple[str, ...] = ()


def find_fit(scan: ScanProperties) -> ModelFit:
    """Return the chosen model, or the first other one that suits the scan better."""
    from napari_ssl_muscle.learning.data.contrast import differences_from_training

    shape = (1,) * (4 - scan.image.ndim) + scan.image.shape
    channels = scan.image.reshape(shape).astype(np.float32, copy=False)

    def notes(model: ListedModel) -> tuple[str, ...]:
        assert model.card is not None
        return tuple(differences_from_training(model.card, channels, scan.spacing))

    chosen = scan.chosen
    differences = notes(chosen) if chosen is not None else ()
    if chosen is not None and not differences:
        return ModelFit(chosen)
    for model in scan.others:
        # Models that take one image, as the chosen one does.
        single = model.card is not None and model.card.in_channels == 1
        other = chosen is None or model.path != chosen.path
        if single and other and not notes(model):
            return ModelFit(model)
    return ModelFit(chosen, differences)
