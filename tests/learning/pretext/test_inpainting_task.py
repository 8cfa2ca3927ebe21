"""The inpainting task: which pixels count, what the network is told, and how it is validated."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_ssl_muscle.learning.data.image_cache import Item
from napari_ssl_muscle.learning.data.validation_split import Holdout
from napari_ssl_muscle.learning.pretext.inpainting_task import InpaintingTask
from napari_ssl_muscle.learning.settings import (
    AugmentSettings,
    NetworkSettings,
    PretextSettings,
    Recipe,
)


class Shelf:
    """A store of given images; bodies are the left half."""

    def __init__(self, images: Tensor) -> None:
        self.pictures = images

    def shapes(self, series: Sequence[int]) -> list[tuple[int, int]]:
        return [(self.pictures.shape[-2], self.pictures.shape[-1])]

    def images(self, items: Sequence[Item], size: tuple[int, int]) -> Tensor:
        return self.pictures[[item.z for item in items]]

    def bodies(self, items: Sequence[Item], size: tuple[int, int]) -> Tensor:
        body = torch.zeros(len(items), *size, dtype=torch.uint8)
        body[..., : size[1] // 2] = 1
        return body


class Says(nn.Module):
    """Gives one number everywhere, and remembers what it was given."""

    def __init__(self, value: float, outputs: int = 1) -> None:
        super().__init__()
        self.value, self.outputs = value, outputs
        self.given: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.given.append(images)
        return torch.full((len(images), self.outputs, *images.shape[-2:]), self.value)


def task_of(images: Tensor, **settings: Any) -> InpaintingTask:
    items = [Item(0, z) for z in range(len(images))]
    defaults = {"kernel_size": 4, "mask_percent": 30.0, "inside_body": False}
    recipe = Recipe(
        network=NetworkSettings(depth=2),
        augment=AugmentSettings.off(),
        pretext=PretextSettings.model_validate(defaults | settings),
    )
    return InpaintingTask(Shelf(images), Holdout(items, items, ""), recipe)  # type: ignore[arg-type]


RANDOM = torch.randn(20, 1, 16, 16, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    ("scored", "expected"),
    [
        # Image 0 is 1 everywhere, image 1 is 3; the network says 0.5, so errors are 0.25 and 6.25.
        # Whole: the mean of both. Masked: 3 pixels of image 0 and 1 of image 1.
        ("image", (0.25 + 6.25) / 2),
        ("masked", (3 * 0.25 + 1 * 6.25) / 4),
    ],
)
def test_the_loss_over_the_whole_image_or_the_mask(scored: str, expected: float) -> None:
    images = torch.stack([torch.full((1, 4, 4), 1.0), torch.full((1, 4, 4), 3.0)])
    holes = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    holes[0, 0, 0, :3] = True
    holes[1, 0, 2, 2] = True
    task = task_of(images, scored=scored)
    task.corrupt = lambda images, bodies, generator: (images.masked_fill(holes, 0.0), holes)
    loss = task.loss(Says(0.5), task.batch([0, 1]), torch.Generator())
    assert float(loss) == pytest.approx(expected)


def test_the_masked_loss_averages_over_channels() -> None:
    images = torch.stack([torch.full((4, 4), 1.0), torch.full((4, 4), 3.0)])[None]
    task = task_of(images, scored="masked")
    loss = task.loss(Says(0.5, outputs=2), task.batch([0]), torch.Generator().manual_seed(0))
    assert float(loss) == pytest.approx((0.25 + 6.25) / 2)


def test_the_network_is_told_where_the_holes_are() -> None:
    net = Says(0)
    task_of(RANDOM, fill=-7.0).loss(net, (RANDOM, None), torch.Generator().manual_seed(3))
    (given,) = net.given
    assert given.shape == (20, 2, 16, 16)
    torch.testing.assert_close(given[:, 1] == 1, given[:, 0] == -7)
    assert 0.3 <= float(given[:, 1].mean()) < 0.4


def test_without_a_mask_channel_it_sees_the_image_alone() -> None:
    net = Says(0)
    task = task_of(RANDOM, mask_channel=False)
    task.loss(net, (RANDOM, None), torch.Generator().manual_seed(3))
    assert net.given[0].shape == (20, 1, 16, 16)


def test_holes_stay_near_the_body_and_follow_the_seed() -> None:
    task, net = task_of(RANDOM, inside_body=True, kernel_size=2), Says(0)
    for seed in (1, 1, 2):
        task.loss(net, task.batch(range(4)), torch.Generator().manual_seed(seed))
    first, again, other = (given[:, 1] for given in net.given)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # Squares are centred on tissue (columns 0 to 7), so that they reach at most one column beyond.
    assert first[..., 8].sum() + first[..., 9:].sum() == first[..., 8].sum()
    assert float(first[..., :8].mean()) >= 0.3


def test_validation_hides_the_same_pixels_every_time() -> None:
    task, net = task_of(RANDOM), Says(0.2)
    first = task.validate(net, torch.device("cpu"))
    task.loss(Says(0), task.batch(range(5)), torch.Generator().manual_seed(9))
    torch.manual_seed(77)
    assert task.validate(net, torch.device("cpu")) == first
    # Twenty images are two rounds; the second hides other pixels than the first.
    assert torch.equal(net.given[0], net.given[2])
    assert not torch.equal(net.given[0][:4, 1], net.given[1][:, 1])


def test_a_constant_reaches_the_constant_error() -> None:
    task = task_of(RANDOM)
    figures = task.validate(net := Says(0), torch.device("cpu"))
    holes = torch.cat([given[:, 1:] for given in net.given])
    by_hand = float((RANDOM**2 * holes).sum() / holes.sum())
    assert figures["masked_error"] == pytest.approx(by_hand)
    assert figures["constant_error"] == pytest.approx(by_hand)
    assert figures["image_error"] == pytest.approx(float((RANDOM**2).mean()))
    worse = task.validate(Says(1), torch.device("cpu"))
    assert worse["constant_error"] == figures["constant_error"]
    assert worse["masked_error"] > 1.5 * figures["masked_error"]


def test_nothing_to_validate_gives_no_figures() -> None:
    task = task_of(RANDOM)
    task.validation = []
    assert task.validate(Says(0), torch.device("cpu")) == {}
