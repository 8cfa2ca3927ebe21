"""The training loop: it learns, it stops, it goes on as if it had never stopped."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.events import Checkpoint, EpochEnd, Event, Progress, never_stop
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.settings import TrainingSettings
from napari_ssl_muscle.learning.training import loop, steps
from napari_ssl_muscle.learning.training.checkpoint import TrainingState
from napari_ssl_muscle.learning.training.loop import train
from napari_ssl_muscle.learning.training.optimizer import MovingAverage, rate_at
from napari_ssl_muscle.learning.training.task import Batch


class Stripes:
    """Tell bright stripes from dark ground; validation counts right pixels."""

    metric = "right"
    larger_is_better = True

    def __init__(self, count: int = 10, validates: bool = True) -> None:
        generator = torch.Generator().manual_seed(1)
        self.targets = (torch.rand(count, 1, 16, generator=generator) > 0.5).expand(-1, 16, -1)
        noise = torch.randn(count, 16, 16, generator=generator)
        self.images = (self.targets.float() * 2 - 1 + 0.3 * noise)[:, None]
        self.validates = validates

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int]) -> Batch:
        return self.images[list(indices)], self.targets[list(indices)].long()

    def loss(self, net: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        images, targets = batch
        # Random changes must repeat as well when a training goes on.
        noisy = images + 0.1 * torch.randn(images.shape, generator=generator)
        return nn.functional.cross_entropy(net(noisy), targets)

    def validate(self, net: nn.Module, device: torch.device) -> dict[str, float]:
        if not self.validates:
            return {}
        return {"right": float((net(self.images).argmax(1) == self.targets).float().mean())}


SETTINGS = TrainingSettings(
    steps=30,
    batch=3,
    validate_every=10,
    lr=5e-3,
    warmup=0.05,
    threads=1,
    device="cpu",
    mixed_precision=False,
)


def run(
    folder: Path,
    settings: TrainingSettings = SETTINGS,
    task: Stripes | None = None,
    stop_after: int | None = None,
    resume: bool = False,
) -> tuple[dict[str, Tensor], list[Event], list[TrainingState], dict[str, Tensor]]:
    torch.manual_seed(settings.seed)
    net = UNet(1, 2, width=4, depth=1)
    events: list[Event] = []
    saved: list[TrainingState] = []
    best: dict[str, Tensor] = {}
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return stop_after is not None and calls > stop_after

    def save_best(weights: nn.Module, state: TrainingState) -> None:
        saved.append(TrainingState(**vars(state)))
        best.update({name: value.clone() for name, value in weights.state_dict().items()})

    train(
        net,
        Stripes() if task is None else task,
        settings,
        folder,
        save_best,
        emit=events.append,
        stop=stop,
        resume=resume,
    )
    return net.state_dict(), events, saved, best


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "rmsprop"])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_continuing_gives_the_same_weights_bit_for_bit(
    tmp_path: Path, optimizer: str, average: float
) -> None:
    settings = SETTINGS.model_copy(update={"optimizer": optimizer, "average": average})
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, _, _, best = run(tmp_path / "whole", settings)
    # Stopped in the middle of an epoch, once more, and then left to finish.
    run(tmp_path / "parts", settings, stop_after=7)
    run(tmp_path / "parts", settings, stop_after=11, resume=True)
    parts, _, _, best_of_parts = run(tmp_path / "parts", settings, resume=True)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert all(torch.equal(best[name], best_of_parts[name]) for name in best)


def test_the_encoder_learns_only_after_its_time(tmp_path: Path) -> None:
    for name in ("first", "whole", "parts"):
        (tmp_path / name).mkdir()
    torch.manual_seed(SETTINGS.seed)
    begun = UNet(1, 2, width=4, depth=1).state_dict()
    settings = SETTINGS.model_copy(update={"decoder_first": 0.5, "weight_decay": 0.1})
    early, *_ = run(tmp_path / "first", settings, stop_after=15)
    # Statistics of the normalisation and weight decay included.
    for name, value in begun.items():
        assert torch.equal(value, early[name]) == name.startswith("encoder"), name
    whole, *_ = run(tmp_path / "whole", settings)
    assert not any(torch.equal(value, whole[name]) for name, value in begun.items())
    run(tmp_path / "parts", settings, stop_after=7)
    run(tmp_path / "parts", settings, stop_after=14, resume=True)
    parts, *_ = run(tmp_path / "parts", settings, resume=True)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    first, *_ = run(tmp_path)
    other, *_ = run(tmp_path, SETTINGS.model_copy(update={"seed": 1}))
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_it_learns_and_keeps_the_best_validation(tmp_path: Path) -> None:
    _, events, saved, _ = run(tmp_path, SETTINGS.model_copy(update={"steps": 60}))
    epochs = [event for event in events if isinstance(event, EpochEnd)]
    figures = [event.metrics["right"] for event in epochs]
    assert figures[-1] > 0.95
    assert saved[-1].best == max(figures)
    assert [event.best for event in epochs].count(True) == len(saved)
    assert any(isinstance(event, Checkpoint) for event in events)
    reports = [event for event in events if isinstance(event, Progress)]
    assert reports[-1].done == 60
    assert reports[-1].text == "epoch 15"  # ten images in steps of three
    # The last moment's loss is among the losses of the last round.
    assert reports[-1].loss == pytest.approx(epochs[-1].metrics["train_loss"], rel=0.5)


def test_without_validation_the_last_weights_are_kept(tmp_path: Path) -> None:
    last, _, saved, best = run(tmp_path, task=Stripes(validates=False))
    assert saved[-1].step == SETTINGS.steps
    assert all(torch.equal(last[name], best[name]) for name in best)


def test_stop_keeps_a_checkpoint_and_weights(tmp_path: Path) -> None:
    _, _, saved, best = run(tmp_path, stop_after=4)
    assert saved[-1].step == 4
    assert best
    assert (tmp_path / "checkpoint.safetensors").is_file()


def test_patience_ends_early(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"lr": 1e-12, "patience": 2, "steps": 200})
    _, events, _, _ = run(tmp_path, settings)
    # One best validation, then two that are no better (batch statistics still move a little).
    assert len([e for e in events if isinstance(e, EpochEnd)]) < 20


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    empty = Stripes()
    empty.images = empty.images[:0]
    with pytest.raises(BadInput, match="no image to train on"):
        run(tmp_path, task=empty)


def test_a_loss_that_explodes_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="learning rate below"):
        run(
            tmp_path, SETTINGS.model_copy(update={"lr": 1e30, "clip": None, "optimizer": "rmsprop"})
        )


def test_continuing_without_a_checkpoint_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no checkpoint to continue from"):
        run(tmp_path, resume=True)


def test_continuing_another_network_is_said(tmp_path: Path) -> None:
    run(tmp_path, stop_after=3)
    net = UNet(1, 2, width=8, depth=1)
    with pytest.raises(BadInput, match="does not fit this training"):
        train(
            net,
            Stripes(),
            SETTINGS,
            tmp_path,
            lambda weights, state: None,
            emit=lambda event: None,
            stop=never_stop,
            resume=True,
        )


def test_minutes_become_steps(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"steps": None, "minutes": 0.02, "epochs": 4})
    _, _, saved, _ = run(tmp_path, settings)
    assert 1 <= saved[-1].total <= 16  # four epochs of four steps are the limit


class Timed(Stripes):
    """Takes time of a clock of its own: so much for each image, and for a validation.

    After some batches the computer has to do more or less for others.
    """

    def __init__(self, images: int, image: float, validation: float, load: float) -> None:
        super().__init__(images)
        self.now, self.image, self.validation, self.load = 0.0, image, validation, load
        self.batches = 0

    def monotonic(self) -> float:
        return self.now

    def batch(self, indices: Sequence[int]) -> Batch:
        self.batches += 1
        if self.batches == 30:
            self.image *= self.load
        self.now += self.image * len(indices)
        return super().batch(indices)

    def validate(self, net: nn.Module, device: torch.device) -> dict[str, float]:
        self.now += self.validation
        return super().validate(net, device)


@pytest.mark.parametrize(
    ("images", "batch", "validation", "load"),
    [(10, 9, 0.1, 1), (8, 8, 0.1, 1), (4, 3, 2.0, 1), (10, 9, 0.1, 3), (10, 9, 0.1, 0.4)],
)
def test_it_keeps_to_the_clock(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    images: int,
    batch: int,
    validation: float,
    load: float,
) -> None:
    """With a last batch of one image, long validations, and a load that comes or goes."""
    task = Timed(images, 0.05, validation, load)
    monkeypatch.setattr(loop, "time", task)
    monkeypatch.setattr(steps, "time", task)
    settings = SETTINGS.model_copy(
        update={"steps": None, "minutes": 1.0, "batch": batch, "validate_every": 20}
    )

    run(tmp_path, settings, task)
    assert 55 <= task.now <= 61


def test_schedule_rises_then_falls() -> None:
    settings = TrainingSettings(lr=1.0, warmup=0.1, schedule="cosine")
    rates = [rate_at(step, 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=2e-3)
    flat = TrainingSettings(lr=1.0, warmup=0, schedule="constant")
    assert {rate_at(step, 100, flat) for step in range(100)} == {1.0}


def test_average_leaves_frozen_weights_alone() -> None:
    net = UNet(1, 2, width=4, depth=1)
    average = MovingAverage(net, 0.99)
    frozen = net.encoder[0].conv1.weight.detach().clone()  # type: ignore[union-attr]
    for _ in range(50):
        with torch.no_grad():
            net.head.weight += 0.1
        average.update(net)
    assert torch.equal(average.state["encoder.0.conv1.weight"], frozen)
    assert not torch.equal(average.state["head.weight"], net.head.weight)
