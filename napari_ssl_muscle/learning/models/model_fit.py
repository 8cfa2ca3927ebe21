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
    """A model, and phrases on how the scan differs from what it learned from, the worst first."""

    model: ListedModel | None
    differences: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """All differences in one line; empty for none."""
        from napari_ssl_muscle.learning.data.scan_check import headline

        if self.model is None or self.model.card is None:
            return ""
        return headline(self.model.card, self.differences)


def find_fit(scan: ScanProperties) -> ModelFit:
    """Return the chosen model, or the first other one that suits the scan better.

    A model of synthetic legs is not kept for a patient's scan if there is any other.
    """
    from napari_ssl_muscle.learning.data.scan_check import differences_from_training

    shape = (1,) * (4 - scan.image.ndim) + scan.image.shape
    channels = scan.image.reshape(shape).astype(np.float32, copy=False)

    def fit(model: ListedModel) -> ModelFit:
        assert model.card is not None
        found = tuple(differences_from_training(model.card, channels, scan.spacing))
        return ModelFit(model, found)

    chosen = fit(scan.chosen) if scan.chosen is not None else ModelFit(None)
    if chosen.model is not None and not chosen.differences:
        return chosen
    # Models that take one image, as the chosen one does.
    others = [
        fit(model)
        for model in scan.others
        if model.card is not None
        and model.card.in_channels == 1
        and model.card.task == "segmentation"
        and (chosen.model is None or model.path != chosen.model.path)
    ]
    for other in others:
        if not other.differences:
            return other
    if scan.others and chosen.model is not None and chosen.model.card is not None:
        real = [o for o in others if o.model and o.model.card and not o.model.card.synthetic_only]
        if chosen.model.card.synthetic_only and real:
            return min(real, key=lambda other: len(other.differences))
    return chosen
