"""Learn muscles from labelled scans: from nothing, from a pretraining, or from another model."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data import validation_split
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.contrast import profiles
from napari_ssl_muscle.learning.data.image_cache import ImageStore
from napari_ssl_muscle.learning.events import Emit, Note, Progress, ShouldStop, StoppedByUser
from napari_ssl_muscle.learning.models.card import RUN_FILE, ModelCard, TrainingSource, origin
from napari_ssl_muscle.learning.models.model_file import (
    Model,
    current_versions,
    load_model,
    save_model,
)
from napari_ssl_muscle.learning.network.transfer import freeze, frozen_sentence, hand_over
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.segmentation_task import SegmentationTask
from napari_ssl_muscle.learning.settings import FreezeMode, Recipe
from napari_ssl_muscle.learning.training.checkpoint import TrainingState
from napari_ssl_muscle.learning.training.loop import train
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.split import Split

__all__ = ["FinetuneResult", "TrainingCase", "finetune"]


@dataclass(frozen=True)
class FinetuneResult:
    """What a fine-tuning left behind.

    Attributes
    ----------
    model
        The model file in the run's folder.
    metrics
        Validation Dice of the kept weights, as on the card ("mean" and per muscle); may be empty.
    notes
        Sentences that the user should read.
    stopped
        Whether the user ended it early; the best weights until then were kept.
    """

    model: Path
    metrics: dict[str, float]
    notes: list[str]
    stopped: bool = False


def finetune(
    cases: Sequence[TrainingCase],
    table: MuscleTable,
    recipe: Recipe,
    *,
    out: Path,
    init: str | None = None,
    freeze_mode: FreezeMode = "none",
    split: Split | None = None,
    validation: Literal["auto", "none"] = "auto",
    channels: Sequence[str] = ("image",),
    name: str | None = None,
    sources: Sequence[TrainingSource] = (),
    described: tuple[str, str] = ("the user's cohort", "the cohort's label maps"),
    emit: Emit,
    stop: ShouldStop,
    resume: bool = False,
) -> FinetuneResult:
    """Fine-tune a U-Net to segment muscles, and write the model into the run's folder.

    Parameters
    ----------
    cases
        Labelled cases; those without labels are left out.
    table
        The muscles to learn, in the order of the classes.
    recipe
        Network, slices, augmentation, training.
    out
        Folder of the run; it exists.
    init
        Model to start from (file, run, or name); its width, depth, up-sampling and norm must be
        the recipe's.
    freeze_mode
        Part of the network that does not learn.
    split
        Which subjects (or slices) train, validate and test; None sets a block of slices apart.
    validation
        "none" trains on every labelled slice and keeps the last weights.
    channels
        Names of the input channels, in the order of each case's scans.
    name
        The model's name; None takes the folder's.
    sources
        What the card says of the training data. None given: that of this training as `described`,
        and that of the model it starts from.
    described
        What the card calls the scans, and their labels.
    emit, stop
        Stream of events, and the question whether to end.
    resume
        Continue from the checkpoint in `out`.

    Raises
    ------
    BadInput
        If nothing is labelled, a file cannot be used, or `init` does not fit.
    StoppedByUser
        If the user ended it before the first step.
    """
    labelled = [case for case in cases if case.labels is not None]
    if split is not None and split.unit == "subject":
        taking_part = {*split.train, *split.validation}
        labelled = [case for case in labelled if case.subject in taking_part]
    notes: list[str] = []

    def note(text: str, warning: bool = False) -> None:
        notes.append(text)
        emit(Note(text=text, warning=warning))

    store = ImageStore(out / "cache", recipe.slices, table)
    try:
        _fill(store, labelled, emit, stop)
        chosen = _choose(store, split, validation)
        if not chosen.training:
            raise BadInput(
                "No slice carries a label of the muscles to learn "
                f"({', '.join(table.names)}); label a slice, or choose other muscles."
            )
        note(chosen.text, warning=split is not None and split.leaking)
        torch.manual_seed(recipe.training.seed)
        net = UNet.from_settings(recipe.network, len(channels), len(table.muscles) + 1)
        transductive = False
        # Who was trained on by the model to start from, is known to the new one, too.
        before: set[str] = set()
        inherited: list[TrainingSource] = []
        if init is not None:
            source = load_model(init)
            for sentence in _hand_over(net, source, table):
                note(sentence)
            inherited = source.card.training_data
            if source.card.task == "segmentation":
                before = set(source.card.training_subjects)
            tested = set(split.test) if split is not None and split.unit == "subject" else set()
            known = sorted(tested.intersection(source.card.training_subjects))
            transductive = source.card.transductive or bool(known)
            if known:
                note(
                    f"TRANSDUCTIVE: '{source.card.name}' learned from scans of subjects of the "
                    f"test set (by name: {', '.join(known)}), so a test on them says less.",
                    warning=True,
                )
        freeze(net, freeze_mode)
        note(frozen_sentence(net))
        task = SegmentationTask(
            store,
            chosen.training,
            chosen.validation,
            loss=recipe.training.loss,
            augmentation=recipe.augment,
            size=recipe.slices.size,
            multiple=2**recipe.network.depth,
        )
        # The first series of a case carry its spacing; legs of one case share it.
        spacing = tuple(
            round(float(v), 4) for v in np.median([s.spacing for s in store.series], axis=0)
        )
        used = {store.series[item.series].subject for item in chosen.training + chosen.validation}
        card = ModelCard(
            name=name or out.resolve().name,
            title=f"Segments {', '.join(table.names)}",
            task="segmentation",
            network=recipe.network,
            slices=recipe.slices,
            in_channels=len(channels),
            channels=list(channels),
            muscles=table.to_rows(),
            contrast=", ".join(channels),
            contrast_profiles=profiles([case for case in labelled if case.subject in used]),
            spacing=spacing,
            training_data=list(sources)
            or [
                TrainingSource(
                    name=described[0],
                    subjects=len({store.series[i.series].subject for i in chosen.training}),
                    slices=len({(store.series[i.series].case, i.z) for i in chosen.training}),
                    labels=described[1],
                ),
                *inherited,
            ],
            training_subjects=sorted(used | before),
            dice_note=chosen.text,
            split_hash=split.hash if split is not None else None,
            leaking=split is not None and split.leaking,
            transductive=transductive,
            recipe=recipe,
            versions=current_versions(),
            created=datetime.date.today().isoformat(),
            notes=[] if init is None else [f"Started from {origin(init)}; frozen: {freeze_mode}."],
        )
        path = out / RUN_FILE
        metrics: dict[str, float] = {}

        def save_best(weights: nn.Module, place: TrainingState) -> None:
            metrics.clear()
            metrics.update(_on_card(place.best_metrics))
            said = place.about_memory(recipe.training.batch)
            known = {"dice": dict(metrics), "notes": [*card.notes, *said]}
            save_model(path, weights.state_dict(), card.model_copy(update=known))

        result = train(
            net,
            task,
            recipe.training,
            out,
            save_best,
            emit=emit,
            stop=stop,
            action="fine-tuning",
            resume=resume,
        )
    finally:
        store.close()
        shutil.rmtree(out / "cache", ignore_errors=True)
    if result.place.step == 0:
        raise StoppedByUser
    # Of the kept weights, even if they are older than the part of the run that ended here.
    metrics = _on_card(result.place.best_metrics)
    return FinetuneResult(path, metrics, notes, result.stopped)


def _fill(store: ImageStore, cases: Sequence[TrainingCase], emit: Emit, stop: ShouldStop) -> None:
    for done, case in enumerate(cases):
        if stop():
            raise StoppedByUser
        emit(Progress(done=done, total=len(cases), text=f"Reading {case.name}"))
        store.add(case)


def _choose(
    store: ImageStore, split: Split | None, validation: Literal["auto", "none"]
) -> validation_split.Holdout:
    if split is not None:
        return validation_split.by_split(store, split)
    return (
        validation_split.nothing(store)
        if validation == "none"
        else validation_split.by_block(store)
    )


def _hand_over(net: UNet, source: Model, table: MuscleTable) -> list[str]:
    """Copy the weights to start from; the head, too, if it knows the same muscles."""
    card = source.card
    same = card.task == "segmentation" and card.table.same_muscles(table)
    # A pretext's mask channel is dropped: its weights are of no use to an image.
    inputs = len(card.channels) if card.mask_channel else None
    report = list(hand_over(net, source, head=same, inputs=inputs).report)
    if not same and card.task == "segmentation":
        report.append(
            f"The muscles differ from those of '{card.name}' ({', '.join(card.table.names)})."
        )
    return report


def _on_card(figures: dict[str, Any]) -> dict[str, float]:
    card = {"mean": figures["dice"]} if "dice" in figures else {}
    return card | {
        name.removeprefix("dice/"): value
        for name, value in figures.items()
        if name.startswith("dice/")
    }
