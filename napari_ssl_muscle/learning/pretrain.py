"""Learn from scans without labels: restore what was taken from them, keep the weights."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_ssl_muscle.learning.cards import RUN_FILE, ModelCard, TrainingData
from napari_ssl_muscle.learning.cases import LabelledCase
from napari_ssl_muscle.learning.checkpoint import Place
from napari_ssl_muscle.learning.contrast import profiles
from napari_ssl_muscle.learning.events import Emit, Note, Preview, Progress, ShouldStop
from napari_ssl_muscle.learning.pretext.inpainting import InpaintingTask
from napari_ssl_muscle.learning.pretext.probes import Probes
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.stopping import StoppedByUser
from napari_ssl_muscle.learning.store import ImageStore, Item
from napari_ssl_muscle.learning.training import train
from napari_ssl_muscle.learning.unet import UNet
from napari_ssl_muscle.learning.weights import current_versions, save_model
from napari_ssl_muscle.scans.errors import BadInput

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
    cases: Sequence[LabelledCase],
    recipe: Recipe,
    *,
    out: Path,
    transductive: bool = False,
    name: str | None = None,
    sources: Sequence[TrainingData] = (),
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
    recipe
        Network, slices, augmentation, pretext, training.
    out
        Folder of the run; it exists.
    transductive
        The images of test subjects take part; the card says so.
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
        If there is no scan, a file cannot be used, or the mask does not fit the images.
    StoppedByUser
        If the user ended it before the first step.
    """
    if not cases:
        raise BadInput("No scan was found to pretrain on; choose a folder that holds scans.")
    inputs = len(cases[0].scans)
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        emit(Note(text=text))

    pretext = recipe.pretext
    store = ImageStore(out / "cache", recipe.slices, with_bodies=pretext.inside_body)
    try:
        for done, case in enumerate(cases):
            if stop():
                raise StoppedByUser
            emit(Progress(done=done, total=len(cases), text=f"Reading {case.name}"))
            store.add(case)
        training, validation, text = _hold_out(store)
        note(text)
        torch.manual_seed(recipe.training.seed)
        net = UNet.from_settings(recipe.network, inputs + int(pretext.mask_channel), inputs)
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
            channels=[f"image {i + 1}" for i in range(inputs)] if inputs > 1 else ["image"],
            contrast_profiles=profiles(cases),
            spacing=tuple(
                round(float(v), 4) for v in np.median([s.spacing for s in store.series], axis=0)
            ),
            training_data=list(sources)
            or [
                TrainingData(
                    name="the user's scans",
                    subjects=len({case.subject for case in cases}),
                    slices=len({(store.series[i.series].case, i.z) for i in training}),
                    labels="none",
                )
            ],
            training_subjects=sorted({case.subject for case in cases}),
            dice_note="A pretext model: it knows no muscles.",
            transductive=transductive,
            recipe=recipe,
            versions=current_versions(),
            created=datetime.date.today().isoformat(),
            notes=[text, coverage],
        )
        path = out / RUN_FILE
        metrics: dict[str, float] = {}

        def save_best(weights: nn.Module, place: Place) -> None:
            metrics.clear()
            metrics.update(place.best_metrics)
            said = [f"Validation: {name} {value:.4f}." for name, value in metrics.items()]
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
    return PretrainResult(path, dict(metrics), notes, result.stopped)


def _hold_out(store: ImageStore) -> tuple[list[Item], list[Item], str]:
    """Set an eighth of the subjects apart (at least one of three); under three, every 8th slice."""
    subjects = sorted({series.subject for series in store.series})
    items = store.items(range(len(store.series)), labelled=False)
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
