"""How long a training will take: counted, remembered, guessed; and never invented."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.events import Event, Speed, never_stop
from napari_ssl_muscle.learning.finetune import finetune
from napari_ssl_muscle.learning.network.flops import flops_of
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.settings import NetworkSettings, Recipe, preset
from napari_ssl_muscle.learning.training.session import RunOptions
from napari_ssl_muscle.learning.training.time_estimate import (
    START_SECONDS,
    Estimate,
    estimate,
    known_speeds,
    remember,
)
from napari_ssl_muscle.scans.muscles import MuscleTable

RECIPE = preset("recommended")
STEPS, BATCH = RECIPE.training.steps, RECIPE.training.batch
WORK = flops_of(RECIPE.network, 112, 112).training()


def counted(net: nn.Module, image: Tensor) -> float:
    """Count what the convolutions of a forward pass compute, in GFLOP."""
    total = 0.0

    def count(layer: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        over = made if isinstance(layer, nn.Conv2d) else given[0]
        total += 2.0 * layer.weight.numel() * over.shape[-1] * over.shape[-2]

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)  # type: ignore[arg-type]
    with torch.no_grad():
        net.eval()(image)
    return total / 1e9


@pytest.mark.parametrize("up", ["transposed", "bilinear"])
@pytest.mark.parametrize("depth", [1, 3])
def test_the_count_is_that_of_the_network(up: str, depth: int) -> None:
    network = NetworkSettings(width=8, depth=depth, up=up)  # type: ignore[arg-type]
    net = UNet.from_settings(network, 2, 5)
    expected = counted(net, torch.zeros(1, 2, 48, 32))
    assert flops_of(network, 48, 32, 2, 5).forward == pytest.approx(expected)


def test_the_reference_network_takes_what_was_measured() -> None:
    assert flops_of(NetworkSettings(), 256, 256).forward == pytest.approx(96.2, abs=0.05)
    assert flops_of(NetworkSettings(), 512, 512).forward == pytest.approx(384.9, abs=0.05)


def test_frozen_parts_are_not_computed_backwards() -> None:
    work = flops_of(NetworkSettings(), 64, 64)
    assert work.training() == pytest.approx(3 * work.forward)
    assert work.training({"encoder"}) == pytest.approx(work.encoder + 3 * work.decoder)
    # Gradients pass through a frozen decoder on their way to the encoder.
    assert work.training({"decoder"}) == pytest.approx(3 * work.encoder + 2 * work.decoder)
    assert work.training({"encoder", "decoder"}) == pytest.approx(work.forward)


def test_asked_for_in_minutes_it_takes_as_long() -> None:
    training = RECIPE.training.model_copy(update={"minutes": 3.0, "steps": None})
    found = estimate(RECIPE.model_copy(update={"training": training}), only_cpu=False)
    assert found == Estimate(180, 180 + START_SECONDS, "asked")


def test_a_cpu_that_never_trained_is_guessed_with_room_on_both_sides() -> None:
    found = estimate(RECIPE, only_cpu=True)
    assert found is not None
    assert found.by == "guess"
    assert found.longest > 3 * found.shortest
    # Two minutes to two hours for the recommended training, whatever the machine.
    assert 60 < found.shortest < found.longest < 8 * 3600


def test_a_gpu_that_never_trained_is_not_guessed() -> None:
    assert estimate(RECIPE, only_cpu=False) is None


def test_a_training_just_like_the_last_takes_as_long_as_the_last() -> None:
    remember(Speed(device="CPU, 2 threads", gflop=WORK, seconds=0.05))
    found = estimate(RECIPE, only_cpu=True)
    assert found is not None
    assert (found.by, found.device) == ("known", "CPU, 2 threads")
    assert found.shortest == found.longest
    assert found.longest == pytest.approx(STEPS * BATCH * 0.05 + START_SECONDS)


def test_of_two_trainings_the_one_that_is_more_alike_counts() -> None:
    remember(Speed(device="CPU, 2 threads", gflop=WORK, seconds=0.05))
    remember(Speed(device="CPU, 2 threads", gflop=100 * WORK, seconds=3.0))
    found = estimate(RECIPE, only_cpu=True)
    assert found is not None
    assert found.longest == pytest.approx(STEPS * BATCH * 0.05 + START_SECONDS)


def test_another_kind_of_training_gives_a_range_around_its_speed() -> None:
    remember(Speed(device="GPU, Fast", gflop=10 * WORK, seconds=0.05))
    found = estimate(RECIPE, only_cpu=False)
    assert found is not None
    assert found.by == "alike"
    plain = STEPS * BATCH * 0.005 + START_SECONDS
    assert found.shortest < plain < found.longest


def test_the_device_of_the_last_training_counts() -> None:
    remember(Speed(device="CPU, 2 threads", gflop=WORK, seconds=1.0))
    remember(Speed(device="GPU, Fast", gflop=2 * WORK, seconds=0.001))
    found = estimate(RECIPE, only_cpu=False)
    assert found is not None
    assert found.device == "GPU, Fast"
    # PyTorch was replaced by one that knows no GPU.
    found = estimate(RECIPE, only_cpu=True)
    assert found is not None
    assert found.device == "CPU, 2 threads"


def test_frozen_it_is_faster() -> None:
    whole, part = (estimate(RECIPE, only_cpu=True, freeze=mode) for mode in ("none", "encoder"))
    assert whole is not None
    assert part is not None
    assert part.longest < whole.longest


def test_a_length_in_epochs_needs_the_number_of_images() -> None:
    training = RECIPE.training.model_copy(update={"steps": None, "epochs": 10, "batch": 4})
    recipe = RECIPE.model_copy(update={"training": training})
    remember(Speed(device="CPU, 2 threads", gflop=WORK, seconds=0.5))
    assert estimate(recipe, only_cpu=True) is None
    found = estimate(recipe, only_cpu=True, images=9)  # three steps an epoch
    assert found is not None
    assert found.longest == pytest.approx(10 * 3 * 4 * 0.5 + START_SECONDS)


def test_a_later_speed_replaces_an_earlier_one_and_old_ones_are_forgotten(
    own_speeds: Path,
) -> None:
    for seconds in (1.0, 2.0):
        remember(Speed(device="CPU", gflop=WORK, seconds=seconds))
    assert [speed.seconds for speed in known_speeds()] == [2.0]
    for number in range(1, 101):
        remember(Speed(device="CPU", gflop=WORK * 1.1**number, seconds=1.0))
    assert len(known_speeds()) == 30
    assert known_speeds()[-1].gflop == pytest.approx(WORK * 1.1**100)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"format": 2}', '{"format": 1, "speeds": [{"device": "CPU", "gflop": 0}]}'],
)
def test_a_broken_file_is_as_good_as_none(own_speeds: Path, content: str) -> None:
    own_speeds.parent.mkdir(exist_ok=True)
    own_speeds.write_text(content)
    assert known_speeds() == []
    remember(Speed(device="CPU", gflop=WORK, seconds=1.0))
    assert len(json.loads(own_speeds.read_text())["speeds"]) == 1


def test_a_training_tells_its_speed(
    cases: list[TrainingCase], table: MuscleTable, tiny: Recipe, tmp_path: Path
) -> None:
    events: list[Event] = []
    finetune(cases, table, tiny, RunOptions(tmp_path, events.append, never_stop))
    speeds = [event for event in events if isinstance(event, Speed)]
    assert speeds[-1].device == "CPU, 1 thread"
    expected = flops_of(tiny.network, 64, 64, 1, len(table.muscles) + 1).training()
    assert speeds[-1].gflop == pytest.approx(expected)
    assert 0 < speeds[-1].seconds < 10


def test_nothing_here_imports_torch() -> None:
    names = (
        "learning.training.time_estimate",
        "learning.training.memory",
        "learning.network.flops",
        "jobs.time_text",
    )
    code = "; ".join(f"import napari_ssl_muscle.{name}" for name in names)
    code += "; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ)).returncode == 0
