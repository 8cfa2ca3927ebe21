"""Learn from scans without labels: restore what was taken from them, keep the weights."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.contrast import profiles
from napari_ssl_muscle.learning.data.image_cache import ImageStore, Item
from napari_ssl_muscle.learning.events import (
    Emit,
    Note,
    Preview,
    Progress,
    ShouldStop,
    StoppedByUser,
)
from napari_ssl_muscle.learning.models.card import RUN_FILE, ModelCard, TrainingSource, origin
from napari_ssl_muscle.learning.models.model_file import (
    Model,
    current_versions,
    load_model,
    save_model,
)
from napari_ssl_muscle.learning.network.transfer import hand_over
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.pretext.inpainting_task import InpaintingTask
from napari_ssl_muscle.learning.pretext.probes import Probes
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.training.checkpoint import TrainingState
from napari_ssl_muscle.learning.training.loop import train

SHARE = 1 / 8
"""Share of the subjects whose images only validate, as the study's 12.5 %."""


@dataclass(frozen=True)
class PretrainResult:
    """What a pretraining left behind.

    Attributes
    ----------
    model
        The model file in the run's folder.
    metrics
        Validation errors of the kept weights; may be empty.
    notes
        Sentences that the user should read.
    stopped
        Whether the user ended it early; the best weights until then were kept.
    """

    model: Path
    metrics: dict[str, float]
    notes: list[str]
    stopped: bool = False


def pretrain(
    cases: Sequence[TrainingCase],
    recipe: Recipe,
    *,
    out: Path,
    init: str | None = None,
    channels: Sequence[str] | None = None,
    transductive: bool = False,
    about: Sequence[str] = (),
    name: str | None = None,
    sources: Sequence[TrainingSource] = (),
    emit: Emit,
    stop: ShouldStop,
    resume: bool = False,
) -> PretrainResult:
    """Pretrain a U-Net on a pretext task, and write it into the run's folder.

    Parameters
    ----------
    cases
        Scans, labelled or not; labels are not read. All have the same number of channels.
        Leave out the subjects of the test set unless `transductive` says that they are in.
        Slices that are `held_out` take no part. A scan that cannot be read is left out with a
        warning.
    recipe
        Network, slices, augmentation, pretext, training.
    out
        Folder of the run; it exists.
    init
        Model to start from (file, run, or name); its network must be the recipe's. Its head is
        taken, too, where it restores as many channels.
    channels
        Names of the channels for the card, in the order of each case's scans.
    transductive
        The images of test subjects take part; the card says so.
    about
        Sentences for the card on which scans take part.
    name
        The model's name; None takes the folder's.
    sources
        What the card says of the training data.
    emit, stop
        Stream of events, and the question whether to end.
    resume
        Continue from the checkpoint in `out`.

    Raises
    ------
    BadInput
        If there is no scan that can be used, `init` does not fit, or the squares are larger than
        the images.
    StoppedByUser
        If the user ended it before the first step.
    """
    if not cases:
        raise BadInput("No scan was found to pretrain on; choose a folder that holds scans.")
    inputs = len(cases[0].scans)
    notes: list[str] = []

    def note(text: str, warning: bool = False) -> None:
        notes.append(text)
        emit(Note(text=text, warning=warning))

    pretext = recipe.pretext
    store = ImageStore(out / "cache", recipe.slices, with_bodies=pretext.inside_body)
    try:
        read: list[TrainingCase] = []
        unseen: set[Item] = set()
        problems: list[BadInput] = []
        for done, case in enumerate(cases):
            if stop():
                raise StoppedByUser
            emit(Progress(done=done, total=len(cases), text=f"Reading {case.name}"))
            try:
                added = store.add(case)
            except BadInput as error:
                problems.append(error)
                note(f"{error} It is left out.", warning=True)
                continue
            read.append(case)
            unseen.update(Item(series, z) for series in added for z in case.held_out)
        if not read:
            raise problems[0]
        training, validation, text = hold_out(store, unseen)
        note(text)
        torch.manual_seed(recipe.training.seed)
        net = UNet.from_settings(recipe.network, inputs + int(pretext.mask_channel), inputs)
        if init is not None:
            for sentence in _hand_over(net, load_model(init), inputs, pretext.mask_channel):
                note(sentence)
        task = InpaintingTask(
            store,
            training,
            validation,
            pretext=pretext,
            augmentation=recipe.augment,
            size=recipe.slices.size,
            multiple=2**recipe.network.depth,
        )
        probes = Probes(task, validation or training)
        coverage = probes.describe()
        note(coverage)
        card = ModelCard(
            name=name or out.resolve().name,
            title="Restores masked scans (pretext task; fine-tune it to segment muscles)",
            task="inpainting",
            network=recipe.network,
            slices=recipe.slices,
            in_channels=inputs + int(pretext.mask_channel),
            channels=list(channels or _nameless(inputs)),
            contrast_profiles=profiles(read),
            spacing=tuple(
                round(float(v), 4) for v in np.median([s.spacing for s in store.series], axis=0)
            ),
            training_data=list(sources)
            or [
                TrainingSource(
                    name="the user's scans",
                    subjects=len({case.subject for case in read}),
                    slices=len({(store.series[i.series].case, i.z) for i in training}),
                    labels="none",
                )
            ],
            training_subjects=sorted({case.subject for case in read}),
            dice_note="A pretext model: it knows no muscles.",
            transductive=transductive,
            recipe=recipe,
            versions=current_versions(),
            created=datetime.date.today().isoformat(),
            notes=[*about, *([f"Started from {origin(init)}."] if init else []), text, coverage],
        )
        path = out / RUN_FILE
        metrics: dict[str, float] = {}

        def save_best(weights: nn.Module, place: TrainingState) -> None:
            metrics.clear()
            metrics.update(place.best_metrics)
            said = place.about_memory(recipe.training.batch)
            said += [f"Validation: {name} {value:.4f}." for name, value in metrics.items()]
            told = card.model_copy(update={"notes": [*card.notes, *said]})
            save_model(path, weights.state_dict(), told)
            emit(Preview(step=place.step, path=str(probes.write(weights, out))))

        result = train(
            net,
            task,
            recipe.training,
            out,
            save_best,
            emit=emit,
            stop=stop,
            action="pretraining",
            resume=resume,
        )
    finally:
        store.close()
        shutil.rmtree(out / "cache", ignore_errors=True)
    if result.place.step == 0:
        raise StoppedByUser
    # Of the kept weights, even if they are older than the part of the run that ended here.
    return PretrainResult(path, dict(result.place.best_metrics), notes, result.stopped)


def _nameless(inputs: int) -> list[str]:
    return [f"image {i + 1}" for i in range(inputs)] if inputs > 1 else ["image"]


def _hand_over(net: UNet, source: Model, inputs: int, mask_channel: bool) -> list[str]:
    """Copy the weights to start from; the head, too, if it restores as many channels."""
    card = source.card
    head = card.task == "inpainting" and card.outputs == net.classes
    alike = len(card.channels) == inputs and card.mask_channel == mask_channel
    # The mask channel's weights serve a mask channel only, never another image.
    taken = None if alike else len(card.channels)
    return list(hand_over(net, source, head=head, inputs=taken).report)


def hold_out(store: ImageStore, unseen: Container[Item] = ()) -> tuple[list[Item], list[Item], str]:
    """Set an eighth of the subjects apart (at least one of three); under three, every 8th slice.

    Parameters
    ----------
    store
        The prepared images.
    unseen
        Images that neither train nor validate.

    Returns
    -------
    training, validation
        The images.
    text
        How they were chosen, in a sentence.
    """
    subjects = sorted({series.subject for series in store.series})
    everything = store.items(range(len(store.series)), labelled=False)
    items = [item for item in everything if item not in unseen]
    if len(subjects) >= 3:
        count = max(1, round(SHARE * len(subjects)))
        # Spread through the sorted names, so that no site or group is taken as a whole.
        apart = {subjects[(2 * k + 1) * len(subjects) // (2 * count)] for k in range(count)}
        validation = [item for item in items if store.series[item.series].subject in apart]
        text = f"Validated on the scans of {', '.join(sorted(apart))}."
    else:
        validation = [item for item in items if item.z % 8 == 4]
        text = "Fewer than three subjects: validated on every eighth slice of the same scans."
    chosen = set(validation)
    return [item for item in items if item not in chosen], validation, text
