"""Fine-tuning on labelled scans: from nothing, from a pretraining, or from another model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data import validation_split
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.muscle_classes import describe_sides
from napari_ssl_muscle.learning.data.scan_traits import traits_of
from napari_ssl_muscle.learning.describe_predictions import describe_predictions, seconds_for
from napari_ssl_muscle.learning.models.card import ModelCard, TrainingSource, origin
from napari_ssl_muscle.learning.models.model_file import Model
from napari_ssl_muscle.learning.network.transfer import freeze, frozen_sentence
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.segmentation_task import SegmentationTask
from napari_ssl_muscle.learning.settings import FreezeMode, Recipe
from napari_ssl_muscle.learning.training.session import RunOptions, TrainedModel, TrainingSession
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.split import Split

ENOUGH = 3
"""Scans from which on those that only selected the weights say what predictions are like."""


def finetune(
    cases: Sequence[TrainingCase],
    table: MuscleTable,
    recipe: Recipe,
    run: RunOptions,
    *,
    freeze_mode: FreezeMode = "none",
    split: Split | None = None,
    validation: Literal["auto", "none"] = "auto",
    channels: Sequence[str] = ("image",),
    described: tuple[str, str] = ("the user's cohort", "the cohort's label maps"),
) -> TrainedModel:
    """Fine-tune a U-Net to segment muscles, and write the model into the run's folder.

    Parameters
    ----------
    cases
        Labelled cases; those without labels are left out.
    table
        The muscles to learn, in the order of the classes. Left and right ones of a pair are one.
    recipe
        Network, slices, augmentation, training.
    run
        Where and how it runs.
    freeze_mode
        Part of the network that does not learn.
    split
        Which subjects (or slices) train, validate and test; None sets a block of slices apart.
    validation
        "none" trains on every labelled slice and keeps the last weights.
    channels
        Names of the input channels, in the order of each case's scans.
    described
        What the card calls the scans, and their labels.

    Returns
    -------
    TrainedModel
        Its metrics are Dice as on the card: "mean" and per muscle.

    Raises
    ------
    BadInput
        If nothing is labelled, a file cannot be used, or `run.init` does not fit.
    StoppedByUser
        If the user ended it before the first step.
    """
    labelled = [case for case in cases if case.labels is not None]
    leaking = split is not None and split.leaking
    subject_split = split if split is not None and split.unit == "subject" else None
    if subject_split is not None:
        taking_part = {*subject_split.train, *subject_split.validation}
        labelled = [case for case in labelled if case.subject in taking_part]
    with TrainingSession(recipe, run, table) as session:
        session.read(labelled)
        series = session.store.series
        chosen = validation_split.choose(session.store, split, validation)
        if not chosen.training:
            raise BadInput(
                "No slice carries a label of the muscles to learn "
                f"({', '.join(table.names)}); label a slice, or choose other muscles."
            )
        session.note(chosen.text, warning=leaking)
        classes = session.store.classes
        if sentence := describe_sides(
            classes, recipe.slices.crop == "leg" and recipe.slices.mirror
        ):
            session.note(sentence, warning=not classes.from_leg)
        net = session.build(len(channels), classes.count)
        source = session.load_init()
        tested = set(subject_split.test) if subject_split is not None else set()
        known = _Known() if source is None else _start_from(source, session, net, tested)
        freeze(net, freeze_mode)
        session.note(frozen_sentence(net), detail=True)
        task = SegmentationTask(session.store, chosen, recipe)
        trained_on = {series[item.series].subject for item in chosen.training}
        used = trained_on | {series[item.series].subject for item in chosen.validation}
        card = session.card(
            [case for case in labelled if case.subject in used],
            title=f"Segments {', '.join(classes.names)}"
            + (", left and right" if classes.from_leg else ""),
            task="segmentation",
            in_channels=len(channels),
            channels=list(channels),
            muscles=table.to_rows(),
            sides_from_leg=classes.from_leg,
            scan_traits=traits_of([case for case in labelled if case.subject in used]),
            contrast=", ".join(channels),
            training_data=[
                session.source(described[0], described[1], trained_on, chosen.training),
                *known.sources,
            ],
            training_subjects=sorted(used | known.subjects),
            dice_note=chosen.text,
            split_hash=split.hash if split is not None else None,
            leaking=leaking,
            transductive=known.transductive,
            notes=[f"Started from {origin(run.init)}; frozen: {freeze_mode}."] if run.init else [],
        )
        limit = seconds_for(recipe.training)
        within = recipe.training.minutes is not None
        trained = session.train(
            net, task, "fine-tuning", card, _with_dice, afterwards=limit if within else 0.0
        )
    if not trained.stopped:
        # If there are enough, those that only selected the weights: the model is surer of others.
        validated = {series[item.series].case for item in chosen.validation}
        own = [case for case in labelled if case.subject in used]
        only = [case for case in own if case.name in validated]
        describe_predictions(
            trained.model,
            only if len(only) >= ENOUGH else own,
            recipe.training,
            stop=run.stop,
            seconds=limit,
        )
    return replace(trained, metrics=_dice_on_card(trained.metrics))


@dataclass(frozen=True)
class _Known:
    """What a new model has from the one that it starts from: scans seen, and where they are from.

    `transductive` says that subjects of the test set are among them.
    """

    subjects: frozenset[str] = frozenset()
    sources: tuple[TrainingSource, ...] = ()
    transductive: bool = False


def _start_from(source: Model, session: TrainingSession, net: UNet, tested: set[str]) -> _Known:
    """Copy the weights of a model; the head, too, if it has the same muscles."""
    card = source.card
    segments = card.task == "segmentation"
    same = segments and card.classes.same(session.store.classes)
    # A pretext's mask channel is dropped: its weights are of no use to an image.
    inputs = len(card.channels) if card.mask_channel else None
    session.start_from(net, source, head=same, inputs=inputs)
    if segments and not same:
        session.note(
            f"The muscles differ from those of '{card.name}' ({', '.join(card.muscle_names)})."
        )
    seen = sorted(tested.intersection(card.training_subjects))
    if seen:
        session.note(
            f"TRANSDUCTIVE: '{card.name}' learned from scans of subjects of the test set (by "
            f"name: {', '.join(seen)}), so a test on them says less.",
            warning=True,
        )
    return _Known(
        frozenset(card.training_subjects) if segments else frozenset(),
        tuple(card.training_data),
        card.transductive or bool(seen),
    )


def _with_dice(card: ModelCard, metrics: Mapping[str, float]) -> ModelCard:
    return card.model_copy(update={"dice": _dice_on_card(metrics)})


def _dice_on_card(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return a validation's Dice, "dice" as "mean" and "dice/sartorius" as "sartorius"."""
    return {
        "mean" if name == "dice" else name.removeprefix("dice/"): value
        for name, value in metrics.items()
        if name.partition("/")[0] == "dice"
    }
