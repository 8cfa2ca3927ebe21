"""Pretraining on scans without labels: a network learns to restore corrupted images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data import validation_split
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.image_cache import Item
from napari_ssl_muscle.learning.events import Preview
from napari_ssl_muscle.learning.models.card import ModelCard, default_channels, origin
from napari_ssl_muscle.learning.pretext.inpainting_task import InpaintingTask
from napari_ssl_muscle.learning.pretext.masking import needs_bodies
from napari_ssl_muscle.learning.pretext.probes import Probes
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.training.session import RunOptions, TrainedModel, TrainingSession


def pretrain(
    cases: Sequence[TrainingCase],
    recipe: Recipe,
    run: RunOptions,
    *,
    channels: Sequence[str] | None = None,
    transductive: bool = False,
    about: Sequence[str] = (),
) -> TrainedModel:
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
    run
        Where and how it runs. The head of `run.init` is taken, too, where it restores as many
        channels.
    channels
        Names of the channels for the card, in the order of each case's scans.
    transductive
        The images of test subjects take part; the card says so.
    about
        Sentences for the card on which scans take part.

    Raises
    ------
    BadInput
        If there is no scan that can be used, `run.init` does not fit, or the squares are larger
        than the images.
    StoppedByUser
        If the user ended it before the first step.
    """
    if not cases:
        raise BadInput("No scan was found to pretrain on; choose a folder that holds scans.")
    count = len(cases[0].scans)
    pretext = recipe.pretext
    with TrainingSession(recipe, run, with_bodies=needs_bodies(pretext)) as session:
        read = session.read(cases, skip_unreadable=True)
        held_out = {
            Item(index, z) for case, series in read for index in series for z in case.held_out
        }
        chosen = validation_split.by_subject(session.store, held_out)
        session.note(chosen.text)
        net = session.build(count + int(pretext.mask_channel), count)
        source = session.load_init()
        if source is not None:
            before = source.card
            head = before.task == "inpainting" and before.outputs == net.classes
            alike = len(before.channels) == count and before.mask_channel == pretext.mask_channel
            # The mask channel's weights serve a mask channel only, never another image.
            inputs = None if alike else len(before.channels)
            session.start_from(net, source, head=head, inputs=inputs)
        task = InpaintingTask(session.store, chosen, recipe)
        probes = Probes(task, chosen.validation or chosen.training)
        coverage = probes.describe()
        session.note(coverage, detail=True)
        subjects = {case.subject for case, _ in read}
        started = [f"Started from {origin(run.init)}."] if run.init else []
        card = session.card(
            [case for case, _ in read],
            title="Restores masked scans (pretext task; fine-tune it to segment muscles)",
            task="inpainting",
            in_channels=net.in_channels,
            channels=list(channels or default_channels(count)),
            training_data=[session.source("the user's scans", "none", subjects, chosen.training)],
            training_subjects=sorted(subjects),
            dice_note="A pretext model: it knows no muscles.",
            transductive=transductive,
            notes=[*about, *started, chosen.text, coverage],
        )

        def refresh_probes(weights: nn.Module, step: int) -> None:
            run.emit(Preview(step=step, path=str(probes.write(weights, run.out))))

        return session.train(net, task, "pretraining", card, _with_errors, refresh_probes)


def _with_errors(card: ModelCard, metrics: dict[str, float]) -> ModelCard:
    lines = [f"Validation: {name} {value:.4f}." for name, value in metrics.items()]
    return card.model_copy(update={"notes": [*card.notes, *lines]})
