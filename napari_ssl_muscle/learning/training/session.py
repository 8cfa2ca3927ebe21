"""What every training does, whatever it learns: read scans, build the network, train, save."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.provenance import versions
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.contrast import profiles
from napari_ssl_muscle.learning.data.image_cache import ImageStore, Item
from napari_ssl_muscle.learning.events import Emit, Note, Progress, ShouldStop, StoppedByUser
from napari_ssl_muscle.learning.models.card import RUN_FILE, ModelCard, TrainingSource
from napari_ssl_muscle.learning.models.model_file import (
    Model,
    load_model,
    save_model,
)
from napari_ssl_muscle.learning.network.transfer import transfer_weights
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.training.checkpoint import TrainingState
from napari_ssl_muscle.learning.training.loop import train
from napari_ssl_muscle.learning.training.task import Task
from napari_ssl_muscle.scans.muscles import MuscleTable


@dataclass(frozen=True)
class RunOptions:
    """Where and how a training runs.

    Attributes
    ----------
    out
        Folder of the run; it exists.
    emit, stop
        Stream of events, and the question whether to end.
    init
        Model to start from (file, run, or name); its network must be the recipe's.
    name
        The new model's name; None takes the folder's.
    resume
        Continue from the checkpoint in `out`.
    """

    out: Path
    emit: Emit
    stop: ShouldStop
    init: str | None = None
    name: str | None = None
    resume: bool = False


@dataclass(frozen=True)
class TrainedModel:
    """What a training left behind: the model file, and validation figures of its weights, if any.

    `notes` are sentences that the user should read. If the user `stopped` it early, the best
    weights until then were saved.
    """

    model: Path
    metrics: dict[str, float]
    notes: list[str]
    stopped: bool = False


class TrainingSession:
    """The parts of one training, as a context that removes its image cache at the end.

    Parameters
    ----------
    recipe, run
        What is trained, and where and how it runs.
    table
        The muscles that are learned; None prepares images without targets.
    with_bodies
        Also prepare where there is tissue.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: RunOptions,
        table: MuscleTable | None = None,
        *,
        with_bodies: bool = False,
    ) -> None:
        self.recipe, self.run = recipe, run
        self.notes: list[str] = []
        self._cache = run.out / "cache"
        self.store = ImageStore(self._cache, recipe.slices, table, with_bodies=with_bodies)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.store.close()
        shutil.rmtree(self._cache, ignore_errors=True)

    def note(self, text: str, warning: bool = False, detail: bool = False) -> None:
        """Emit a sentence and keep it for the result."""
        self.notes.append(text)
        self.run.emit(Note(text=text, warning=warning, detail=detail))

    def read(
        self, cases: Sequence[TrainingCase], *, skip_unreadable: bool = False
    ) -> list[tuple[TrainingCase, list[int]]]:
        """Read cases into the store; return each with the indices of its series.

        With `skip_unreadable`, a case that cannot be used is left out with a warning.

        Raises
        ------
        BadInput
            If a case, or with `skip_unreadable` every case, cannot be used.
        StoppedByUser
            If the user ended it.
        """
        read: list[tuple[TrainingCase, list[int]]] = []
        problems: list[BadInput] = []
        for done, case in enumerate(cases):
            if self.run.stop():
                raise StoppedByUser
            self.run.emit(Progress(done=done, total=len(cases), text=f"Reading {case.name}"))
            try:
                read.append((case, self.store.add(case)))
            except BadInput as error:
                if not skip_unreadable:
                    raise
                problems.append(error)
                self.note(f"{error} It is left out.", warning=True)
        if problems and not read:
            raise problems[0]
        return read

    def build(self, inputs: int, outputs: int) -> UNet:
        """Build the recipe's network; its first weights depend on the recipe's seed alone."""
        torch.manual_seed(self.recipe.training.seed)
        return UNet.from_settings(self.recipe.network, inputs, outputs)

    def load_init(self) -> Model | None:
        """Load the model to start from, if there is one."""
        return None if self.run.init is None else load_model(self.run.init)

    def start_from(self, net: UNet, source: Model, *, head: bool, inputs: int | None) -> None:
        """Copy the weights to start from, as `transfer_weights` does, and note what happened."""
        for sentence in transfer_weights(net, source.net, head=head, inputs=inputs):
            self.note(sentence, detail=True)

    def source(
        self, name: str, labels: str, subjects: Collection[str], training: Sequence[Item]
    ) -> TrainingSource:
        """Return what the card says of this training's data."""
        return TrainingSource(
            name=name,
            subjects=len(subjects),
            slices=len({(self.store.series[item.series].case, item.z) for item in training}),
            labels=labels,
        )

    def card(self, cases: Sequence[TrainingCase], **fields: Any) -> ModelCard:
        """Return the model's card: `fields` of it, the contrast of some cases, and the recipe."""
        # The first series of a case carry its spacing; legs of one case share it.
        spacing = np.median([series.spacing for series in self.store.series], axis=0)
        return ModelCard(
            name=self.run.name or self.run.out.resolve().name,
            network=self.recipe.network,
            slices=self.recipe.slices,
            contrast_profiles=profiles(cases),
            spacing=tuple(round(float(value), 4) for value in spacing),
            recipe=self.recipe,
            versions=versions(),
            created=datetime.date.today().isoformat(),
            **fields,
        )

    def train(
        self,
        net: UNet,
        task: Task,
        action: str,
        card: ModelCard,
        with_metrics: Callable[[ModelCard, dict[str, float]], ModelCard],
        on_saved: Callable[[nn.Module, int], None] | None = None,
        afterwards: float = 0.0,
    ) -> TrainedModel:
        """Train the network and write the model file at each better validation.

        Parameters
        ----------
        net, task
            What learns, and what is learned.
        action
            What the work is called in `Started`.
        card
            The model's card without figures.
        with_metrics
            Adds validation figures to a card.
        on_saved
            Called with the saved weights and the step.
        afterwards
            Seconds of the recipe's minutes that are left for what comes after it.

        Raises
        ------
        StoppedByUser
            If the user ended it before the first step.
        """
        path = self.run.out / RUN_FILE
        batch = self.recipe.training.batch

        def save_best(weights: nn.Module, state: TrainingState) -> None:
            notes = [*card.notes, *state.describe_memory(batch)]
            known = with_metrics(card.model_copy(update={"notes": notes}), state.best_metrics)
            save_model(path, weights.state_dict(), known)
            if on_saved is not None:
                on_saved(weights, state.step)

        result = train(
            net,
            task,
            self.recipe.training,
            self.run.out,
            save_best,
            emit=self.run.emit,
            stop=self.run.stop,
            action=action,
            resume=self.run.resume,
            afterwards=afterwards,
        )
        if result.state.step == 0:
            raise StoppedByUser
        # Of the saved weights, even if they are older than the part of the run that ended here.
        return TrainedModel(path, dict(result.state.best_metrics), self.notes, result.stopped)
