"""How long a job will take, as a sentence, before it starts."""

from __future__ import annotations

import math

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.recipe import recipe_from
from napari_ssl_muscle.jobs.settings import FinetuneJob, LearningJob, PretrainJob
from napari_ssl_muscle.jobs.text import format_duration
from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.learning.training.time_estimate import Estimate, estimate

UNKNOWN = "How long it takes cannot be told yet: nothing was trained on this computer."


_TRAINS = 0.75
"""Share of the slices that train; the others are set apart."""


def expected_time(
    job: LearningJob, card: ModelCard | None, *, only_cpu: bool, slices: int | None = None
) -> str:
    """Return how long a training will take; "" if the job cannot be run as it is.

    Parameters
    ----------
    job
        The training.
    card
        Of the model that it starts from.
    only_cpu
        PyTorch cannot use a GPU here.
    slices
        Of all scans; None if unknown.
    """
    try:
        recipe, _ = recipe_from(job, card)
    except BadInput:
        return ""
    channels = outputs = len(getattr(job, "channels", None) or ["image"])
    if isinstance(job, PretrainJob):
        channels += int(recipe.pretext.mask_channel)
    else:
        outputs = 1 + len(getattr(job, "muscles", None) or [""] * 6)
    legs = 2 if recipe.slices.crop == "leg" else 1
    return expectation(
        estimate(
            recipe,
            only_cpu=only_cpu,
            freeze=job.freeze if isinstance(job, FinetuneJob) else "none",
            images=math.ceil(slices * legs * _TRAINS) if slices else None,
            channels=channels,
            classes=outputs,
        )
    )


def expectation(found: Estimate | None) -> str:
    """Return an estimate as a sentence."""
    if found is None:
        return UNKNOWN
    if found.by == "asked":
        return (
            f"Will take {format_duration(found.shortest)}, as set, and a few seconds to get ready."
        )
    if found.by == "known":
        text = f"About {format_duration(found.longest)} on this computer ({found.device})"
        return f"{text}, if it is as fast as last time."
    text = f"Roughly {span(found.shortest, found.longest)}"
    if found.by == "alike":
        return f"{text} on this computer ({found.device}), going by other trainings here."
    return f"{text} on this CPU: nothing was trained here yet."


def span(shortest: float, longest: float) -> str:
    """Return a range of times: "5 to 20 min", "2 to 9 h", "1 to 3 days"."""
    units = (("s", 1, 90), ("min", 60, 120), ("h", 3600, 48), ("days", 86_400, math.inf))
    name, seconds = next((name, unit) for name, unit, most in units if longest <= most * unit)
    if shortest < seconds:
        return f"{span(shortest, shortest)} to {_rounded(longest / seconds)} {name}"
    least, greatest = _rounded(shortest / seconds), _rounded(longest / seconds)
    return f"{greatest} {name}" if least == greatest else f"{least} to {greatest} {name}"


def _rounded(value: float) -> int:
    """Round to the precision of an estimate: whole numbers, from 20 on by fives."""
    return round(value) if value < 20 else 5 * round(value / 5)
