"""Which pretrainings can be compared on the same images. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.learning.settings import PretextSettings, SliceSettings


def check_comparable(cards: Sequence[ModelCard]) -> None:
    """Refuse models that do not restore the same images.

    Raises
    ------
    BadInput
        If one is no pretraining, or they see slices or channels differently; what differs is
        named.
    """
    for card in cards:
        if card.task != "inpainting":
            raise BadInput(
                f"The model {card.name} is no pretraining: it restores no images; "
                "choose a run of ssl-muscle pretrain."
            )
    first = cards[0]
    for other in cards[1:]:
        different = [
            f"{name} {getattr(first.slices, name)} and {getattr(other.slices, name)}"
            for name in SliceSettings.model_fields
            if getattr(first.slices, name) != getattr(other.slices, name)
        ]
        if len(first.channels) != len(other.channels):
            different.append(f"{len(first.channels)} and {len(other.channels)} channel(s)")
        if different:
            raise BadInput(
                f"{first.name} and {other.name} see different images ({'; '.join(different)}), "
                "so their errors do not compare; choose runs with the same slice settings."
            )


def pretext_of(card: ModelCard) -> PretextSettings:
    """Return the pretext settings that a model was trained with."""
    return card.recipe.pretext if card.recipe is not None else PretextSettings()
