"""What a job trains with: its preset, its overrides, and what it takes over from a model."""

from __future__ import annotations

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.fields import SECTIONS, for_recipe
from napari_ssl_muscle.jobs.job import Job
from napari_ssl_muscle.jobs.settings import LENGTHS, LabelledJob, LearningJob, PretrainJob
from napari_ssl_muscle.learning.data.muscle_classes import MuscleClasses
from napari_ssl_muscle.learning.models.card import ModelCard, find_model, read_card
from napari_ssl_muscle.learning.settings import (
    AugmentSettings,
    NetworkSettings,
    PretextSettings,
    Recipe,
    Settings,
    preset,
)
from napari_ssl_muscle.scans.muscles import MuscleTable

KNOWN_MUSCLES_RATE = 0.1
"""Share of the preset's learning rate for a model that knows the muscles already.

At the full rate, 80 steps on three corrected slices made the rest of a scan worse (two real
thighs, models that had learned from the other one, seed 0: Dice 0.68 to 0.61 and 0.78 to 0.61);
at a tenth it became better (0.76 and 0.79, with six slices 0.84 and 0.85), and the other patient
was forgotten less. nnssl and MONAI give a third to a tenth, too.
"""


def recipe_of(job: LearningJob, base: Recipe | None = None) -> Recipe:
    """Return what a job trains with: its preset, or `base` instead of it, with its overrides."""
    recipe = base or preset(job.preset)
    changed: dict[str, Settings] = {}
    for section, kind in SECTIONS.items():
        values = getattr(recipe, section).model_dump()
        if section == "training" and any(getattr(job, name) is not None for name in LENGTHS):
            values.update(dict.fromkeys(LENGTHS))
        for name in kind.model_fields:
            value = getattr(job, name, None)
            if value is not None:
                values[name] = for_recipe(name, value)
        changed[section] = kind.model_validate(values)
    if job.augment is not None:
        # A preset without augmentation has no strengths of its own to switch on.
        usual = recipe.augment if recipe.augment != AugmentSettings.off() else AugmentSettings()
        changed["augment"] = usual if job.augment else AugmentSettings.off()
    return recipe.model_copy(update=changed)


def pretext_with(job: Job, base: PretextSettings) -> PretextSettings:
    """Return pretext settings with those that a job overrides."""
    given = {name: getattr(job, name, None) for name in PretextSettings.model_fields}
    changed = {name: for_recipe(name, v) for name, v in given.items() if v is not None}
    return PretextSettings.model_validate({**base.model_dump(), **changed})


def start_card(job: LabelledJob | PretrainJob) -> ModelCard | None:
    """Return the card of the model that a training starts from; None for none.

    Raises
    ------
    BadInput
        If there is no such model, or its card cannot be read.
    """
    return None if job.init is None else read_card(find_model(job.init))


def require_network(job: LearningJob, card: ModelCard | None) -> None:
    """Refuse settings that do not fit the model to start from.

    Raises
    ------
    BadInput
        If the user asks for another network than the model's.
    """
    if card is None:
        return
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


def recipe_from(job: LearningJob, card: ModelCard | None) -> tuple[Recipe, list[str]]:
    """Return the recipe of a training that may start from a model, and notes for the user.

    A model's weights fit its own network only, and know muscles at its own pixel size: what the
    user does not ask for by name is taken from the model instead of the preset.

    Raises
    ------
    BadInput
        As `require_network`.
    """
    if card is None:
        return recipe_of(job), []
    require_network(job, card)
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


def lower_known_rate(
    recipe: Recipe, job: LearningJob, card: ModelCard | None, table: MuscleTable
) -> tuple[Recipe, list[str]]:
    """Return the recipe with a lower learning rate where the model knows the same muscles.

    A learning rate that the job asks for stays as it is, as does the published preset.

    Parameters
    ----------
    recipe
        From `recipe_from`.
    job
        The training.
    card
        Of the model to start from; None for none.
    table
        The muscles that will be learned.

    Returns
    -------
    The recipe, and notes for the user.
    """
    classes = MuscleClasses.for_training(table)
    known = card is not None and card.task == "segmentation" and card.classes.same(classes)
    if not known or job.lr is not None or job.preset == "poster":
        return recipe, []
    rate = KNOWN_MUSCLES_RATE * recipe.training.lr
    training = recipe.training.model_copy(update={"lr": rate})
    text = f"The model knows these muscles already, so the learning rate is a tenth: {rate:g}."
    return recipe.model_copy(update={"training": training}), [text]
