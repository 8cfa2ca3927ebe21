"""Out of memory: fewer images at once, said, and otherwise as if nothing had happened."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_ssl_muscle.learning import predict
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.image_cache import read_channels
from napari_ssl_muscle.learning.events import EpochEnd, Event, Note, ignore_event, never_stop
from napari_ssl_muscle.learning.finetune import finetune
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.learning.models.model_file import load_model
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.predict import segment_volume
from napari_ssl_muscle.learning.pretrain import pretrain
from napari_ssl_muscle.learning.settings import Recipe, TrainingSettings
from napari_ssl_muscle.learning.training.batch_fitting import BatchFitter
from napari_ssl_muscle.learning.training.checkpoint import TrainingState
from napari_ssl_muscle.learning.training.loop import train
from napari_ssl_muscle.learning.training.memory import is_out_of_memory
from napari_ssl_muscle.learning.training.session import RunOptions
from napari_ssl_muscle.learning.training.task import Batch
from napari_ssl_muscle.scans.muscles import MuscleTable

CPU_WORDS = "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"

SETTINGS = TrainingSettings(
    steps=12, batch=8, validate_every=4, lr=5e-3, threads=1, device="cpu", mixed_precision=False
)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("any words"), True),
        (RuntimeError(CPU_WORDS), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("8"), False),
    ],
)
def test_lack_of_memory_is_told_from_other_errors(error: Exception, is_one: bool) -> None:
    assert is_out_of_memory(error) is is_one


class Halves:
    """Which half of an image is bright; memory suffices for `most` images in a step."""

    metric = "right"
    larger_is_better = True

    def __init__(self, most: int, *, fails_late: bool = True, words: str = CPU_WORDS) -> None:
        generator = torch.Generator().manual_seed(1)
        self.images = torch.randn(20, 1, 16, 16, generator=generator)
        self.targets = (self.images[:, 0] > 0).long()
        self.most, self.fails_late, self.words = most, fails_late, words
        self.tried: list[int] = []

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int]) -> Batch:
        self.tried.append(len(indices))
        if not self.fails_late:
            self._check(len(indices))
        return self.images[list(indices)], self.targets[list(indices)]

    def loss(self, net: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        logits = net(batch[0])
        self._check(len(logits))  # after normalisation layers have seen the batch
        return nn.functional.cross_entropy(logits, batch[1])

    def validate(self, net: nn.Module, device: torch.device) -> dict[str, float]:
        return {"right": float((net(self.images).argmax(1) == self.targets).float().mean())}

    def _check(self, count: int) -> None:
        if count > self.most:
            raise RuntimeError(self.words)


def run(
    folder: Path,
    task: Halves,
    settings: TrainingSettings = SETTINGS,
    *,
    stop_after: int | None = None,
    resume: bool = False,
) -> tuple[dict[str, Tensor], list[Event], TrainingState]:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    net = UNet(1, 2, width=4, depth=1)
    events: list[Event] = []
    asked = iter(range(1000))

    def stop() -> bool:
        return stop_after is not None and next(asked) >= stop_after

    result = train(
        net,
        task,
        settings,
        folder,
        lambda weights, state: None,
        emit=events.append,
        stop=stop,
        resume=resume,
    )
    return net.state_dict(), events, result.state


def warnings(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note) and event.warning]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_batch_is_halved_until_it_fits_and_every_step_is_done(tmp_path: Path) -> None:
    task = Halves(most=3)
    _, events, state = run(tmp_path, task)
    assert warnings(events) == [
        "Not enough memory for a batch of 8: goes on with 4.",
        "Not enough memory for a batch of 4: goes on with 2.",
    ]
    assert state.step == state.total == 12
    assert task.tried[:3] == [8, 4, 2]
    assert set(task.tried[3:]) == {2}  # found out once, not at every step
    assert state.describe_memory(8) == [
        "Images in a step: 2 from the start instead of 8, for lack of memory."
    ]
    assert [event.epoch for event in events if isinstance(event, EpochEnd)][-1] == 4


def test_a_step_that_failed_leaves_no_trace(tmp_path: Path) -> None:
    late, _, _ = run(tmp_path / "late", Halves(most=4, fails_late=True))
    early, _, _ = run(tmp_path / "early", Halves(most=4, fails_late=False))
    assert same(late, early)


def test_memory_that_runs_short_later_changes_only_later_steps(tmp_path: Path) -> None:
    class Shrinks(Halves):
        def batch(self, indices: Sequence[int]) -> Batch:
            self.most = 8 if len(self.tried) < 6 else 4
            return super().batch(indices)

    _, events, state = run(tmp_path, Shrinks(most=8))
    assert state.smaller == [[6, 4]]
    assert state.describe_memory(8) == [
        "Images in a step: 4 from step 7 instead of 8, for lack of memory."
    ]
    assert len(warnings(events)) == 1


def test_continuing_goes_on_with_the_smaller_batch_bit_for_bit(tmp_path: Path) -> None:
    whole, _, _ = run(tmp_path / "whole", Halves(most=4))
    run(tmp_path / "parts", Halves(most=4), stop_after=5)
    task = Halves(most=100)  # there would be memory again, but the run is one
    parts, events, state = run(tmp_path / "parts", task, resume=True)
    assert same(whole, parts)
    assert set(task.tried) == {4}
    assert not warnings(events)
    assert state.smaller == [[0, 4]]


def test_enough_memory_changes_nothing(tmp_path: Path) -> None:
    _, events, state = run(tmp_path, Halves(most=8))
    assert not warnings(events)
    assert state.describe_memory(8) == []


def test_no_memory_for_a_single_image_is_the_end(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="can't allocate"):
        run(tmp_path, Halves(most=0))


def test_another_error_is_not_tried_again(tmp_path: Path) -> None:
    task = Halves(most=4, words="shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="shapes"):
        run(tmp_path, task)
    assert task.tried == [8]


def test_the_first_steps_that_are_timed_may_run_out_of_memory_as_well(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"steps": None, "minutes": 0.01, "epochs": 2})
    _, events, state = run(tmp_path, Halves(most=4), settings)
    assert warnings(events) == ["Not enough memory for a batch of 8: goes on with 4."]
    assert state.step == state.total


def test_parts_are_joined_in_order_and_the_size_that_fits_is_remembered() -> None:
    tried = []

    def double(part: Tensor) -> Tensor:
        tried.append(len(part))
        if len(part) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return 2 * part

    fitter = BatchFitter(8)
    images = torch.arange(7.0)[:, None]
    assert torch.equal(fitter.in_parts(double, images), 2 * images)
    assert tried == [7, 4, 2, 2, 2, 1]
    assert fitter.images == 2


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that lets the network take so many images at once and no more."""
    forward = UNet.forward

    def limit(most: int) -> None:
        def short(net: UNet, image: Tensor) -> Tensor:
            if len(image) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(net, image)

        monkeypatch.setattr(UNet, "forward", short)

    return limit


def test_a_fine_tuning_says_on_its_card_what_was_used_and_segments_the_same(
    cases: list[TrainingCase],
    table: MuscleTable,
    tiny: Recipe,
    tmp_path: Path,
    short_of_memory: Callable[[int], None],
) -> None:
    recipe = tiny.model_copy(
        update={"training": tiny.training.model_copy(update={"steps": 4, "validate_every": 2})}
    )
    short_of_memory(3)
    events: list[Event] = []
    result = finetune(cases, table, recipe, RunOptions(tmp_path, events.append, never_stop))
    assert warnings(events) == ["Not enough memory for a batch of 4: goes on with 2."]
    assert result.metrics  # sixteen validation images at once would not have fitted either
    assert any("2 from the start instead of 4" in note for note in read_card(result.model).notes)

    model = load_model(str(result.model))
    case = cases[0]
    spacing = case.scans[0].geometry.spacing
    told: list[tuple[int, int]] = []

    def segment(**more: Any) -> predict.Segmentation:
        return segment_volume(
            model, read_channels(case), spacing, device="cpu", uncertainty=True, **more
        )

    short = segment(progress=lambda done, total: told.append((done, total)))
    short_of_memory(100)
    plenty = segment()
    assert short.notes[-1].startswith("Not enough memory for 8 images at once: went on with 2.")
    assert not any("memory" in note for note in plenty.notes)
    assert np.array_equal(short.labels, plenty.labels)
    assert short.uncertainty is not None
    assert np.array_equal(short.uncertainty, plenty.uncertainty)
    assert told[-1][0] == told[-1][1]


def test_a_pretraining_short_of_memory_validates_as_ever(
    cases: list[TrainingCase],
    tiny: Recipe,
    tmp_path: Path,
    short_of_memory: Callable[[int], None],
) -> None:
    training = tiny.training.model_copy(update={"steps": 2, "batch": 2, "lr": 1e-9})
    recipe = tiny.model_copy(update={"training": training})
    errors = []
    for most in (100, 2):
        (tmp_path / str(most)).mkdir()
        short_of_memory(most)
        run_options = RunOptions(tmp_path / str(most), ignore_event, never_stop)
        found = pretrain(cases, recipe, run_options)
        errors.append(found.metrics["masked_error"])
    assert errors[0] == pytest.approx(errors[1], rel=1e-5)
