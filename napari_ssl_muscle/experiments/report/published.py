"""What the study published, to be printed beside our figures, and what it leaves open."""

from __future__ import annotations

from napari_ssl_muscle.evaluation.dice import BATCH
from napari_ssl_muscle.experiments.published.plan import Plan
from napari_ssl_muscle.experiments.published.trial import BASELINE, arm_name
from napari_ssl_muscle.learning.settings import preset

DICE: dict[str, dict[str, float]] = {
    "validation": {BASELINE: 0.7916, arm_name(10, 16): 0.7923, arm_name(50, 16): 0.7912},
    "test": {BASELINE: 0.6226, arm_name(10, 16): 0.6513, arm_name(50, 16): 0.6250},
}
"""Part → arm → published Dice (batch-aggregate, split by slice)."""

CHOSEN: dict[str, str] = {
    "0": "learning rate 1e-5, RMSprop, momentum 0.9",
    "1": "–",
    "2": "squares of 16 pixels, with 10 % and with 50 % masked",
    "3": "only the encoder frozen",
    "4": "learning rate 1e-5, RMSprop, momentum 0.9",
}
"""Experiment → what it found best, as published."""


def open_points(plan: Plan) -> list[tuple[str, str]]:
    """Return what the publication leaves open, each with the choice that was made here."""
    recipe = preset(plan.preset)
    fill = recipe.pretext.fill
    filled = "the darkest value of the image" if fill is None else f"{fill:g}"
    mean = ", the mean of the image after standardisation" if fill == 0 else ""
    return [
        (
            "Semantic or instance segmentation",
            "The publication says both. We read it as semantic: one class for each muscle.",
        ),
        (
            "Background in the Dice",
            "Left out, except where a row says “with background”. It is near 1 wherever muscles "
            "are small.",
        ),
        (
            "Batch of the batch-aggregate Dice",
            f"{BATCH} consecutive slices, the largest batch of the published grid. Another size "
            "gives other figures for the same labels.",
        ),
        (
            "Classes of the batch-aggregate Dice",
            "Voxels are summed over a batch for each class; the mean is over the classes that are "
            "in prediction or ground truth of the batch.",
        ),
        ("Fill value of masked squares", f"{filled}{mean}."),
        (
            "Adam’s momentum",
            "Its beta1 takes the values that the grid gives for momentum; beta2 is 0.999.",
        ),
        (
            "What selects in experiments 1 and 2",
            "The Dice after the same fine-tuning with the winner of experiment 0: a reconstruction "
            "has no Dice.",
        ),
        (
            "What selects everywhere",
            "The 3D Dice per subject on validation data. The test subjects are scored once, at the "
            "end.",
        ),
    ]
