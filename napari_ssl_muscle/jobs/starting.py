"""What a training that starts from a model takes over from it."""

from __future__ import annotations

from napari_ssl_muscle.jobs.settings import LearningJob, recipe_of
from napari_ssl_muscle.learning.cards import ModelCard
from napari_ssl_muscle.learning.settings import NetworkSettings, Recipe, preset
from napari_ssl_muscle.scans.errors import BadInput


def recipe_from(job: LearningJob, card: ModelCard | None) -> tuple[Recipe, list[str]]:
    """Return the recipe of a training that may start from a model, and what to say of it.

    A model's weights fit its own network only, and know muscles at its own pixel size: what the
    user does not ask for by name is taken from the model instead of the preset.

    Raises
    ------
    BadInput
        If the user asks for another network than the model's.
    """
    if card is None:
        return recipe_of(job), []
    asked = {name: getattr(job, name) for name in NetworkSettings.model_fields}
    different = [
        f"{name} {getattr(card.network, name)} instead of {value}"
        for name, value in asked.items()
        if value is not None and value != getattr(card.network, name)
    ]
    if different:
        raise BadInput(
            f"The model {card.name} to start from has {' and '.join(different)}; "
            "ask for the same, or start from another model."
        )
    base = preset(job.preset)
    recipe = recipe_of(
        job, base.model_copy(update={"network": card.network, "slices": card.slices})
    )
    notes = []
    if recipe.network != base.network or recipe.slices != base.slices:
        pixels = f"{card.slices.spacing:g} mm" if card.slices.spacing else "the scan's own"
        notes.append(
            f"Network and slices are those of the model {card.name}, where nothing else was asked "
            f"for: width {card.network.width}, depth {card.network.depth}, pixels of {pixels}."
        )
    return recipe, notes
