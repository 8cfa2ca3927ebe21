"""Does a model suit the open scan? Found out before the button is pressed, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_ssl_muscle.learning.models.card import ListedModel


@dataclass(frozen=True, eq=False)
class ScanProperties:
    """What is to be found out.

    Parameters
    ----------
    image
        Canonical (z, y, x), or (y, x).
    spacing
        (dz, dy, dx) in mm.
    chosen
        The model that is chosen.
    others
        Models to choose from instead if it does not suit; empty if the user has chosen.
    """

    image: np.ndarray
    spacing: tuple[float, float, float]
    chosen: ListedModel | None
    others: tuple[ListedModel, ...] = ()


@dataclass(frozen=True)
class ModelFit:
    """A model, and in sentences where the scan is far from what it learned from."""

    model: ListedModel | None
    notes: tuple[str, ...] = ()


def find_fit(question: ScanProperties) -> ModelFit:
    """Return the chosen model, or the first other one that suits the scan better."""
    from napari_ssl_muscle.learning.data.contrast import far_from_training

    image = question.image
    channels = image.reshape((1,) * (4 - image.ndim) + image.shape).astype(np.float32, copy=False)

    def notes(model: ListedModel) -> tuple[str, ...]:
        assert model.card is not None
        return tuple(far_from_training(model.card, channels, question.spacing))

    chosen = question.chosen
    far = notes(chosen) if chosen is not None else ()
    if chosen is not None and not far:
        return ModelFit(chosen)
    for model in _candidates(question.others, chosen):
        if not notes(model):
            return ModelFit(model)
    return ModelFit(chosen, far)


def _candidates(models: Sequence[ListedModel], chosen: ListedModel | None) -> list[ListedModel]:
    """Other models that take one image, as the chosen one does."""
    return [
        model
        for model in models
        if model.card is not None
        and model.card.in_channels == 1
        and (chosen is None or model.path != chosen.path)
    ]
