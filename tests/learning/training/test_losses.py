"""Losses against values worked out by hand, with unlabelled pixels and absent classes."""

import math

import pytest
import torch

from napari_ssl_muscle.learning.segmentation_task import make_loss
from napari_ssl_muscle.learning.settings import preset
from napari_ssl_muscle.learning.training import losses
from napari_ssl_muscle.learning.training.losses import UNLABELLED, cross_entropy_per_class, dice_ce

LOSSES = [cross_entropy_per_class, dice_ce]
X = UNLABELLED


def as_logits(*images):
    """Probabilities, for each image a list of pixels, as logits (n, classes, 1, pixels)."""
    return torch.tensor(images).log().permute(0, 2, 1)[:, :, None].contiguous()


def as_target(*images, dtype=torch.int64):
    return torch.tensor(images, dtype=dtype)[:, None]


# Two images of three pixels, three classes; class 2 occurs nowhere; two pixels unlabelled.
LOGITS = as_logits(
    [[0.50, 0.25, 0.25], [0.25, 0.50, 0.25], [0.10, 0.80, 0.10]],
    [[0.25, 0.50, 0.25], [0.25, 0.25, 0.50], [0.80, 0.10, 0.10]],
)
TARGET = as_target([0, 1, X], [1, 0, X])


def test_cross_entropy_is_averaged_within_each_class_first():
    # Class 0: pixels with 1/2 and 1/4. Class 1: pixels with 1/2 and 1/2. In units of ln 2:
    expected = ((1 + 2) / 2 + (1 + 1) / 2) / 2 * math.log(2)
    assert cross_entropy_per_class(LOGITS, TARGET).item() == pytest.approx(expected)
    # Unequal counts, over all images at once: class 0 has 1, 2, 1; class 1 has 1.
    target = as_target([0, X, X], [0, 1, 0])
    logits = as_logits(
        [[0.50, 0.25, 0.25], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]],
        [[0.25, 0.50, 0.25], [0.25, 0.50, 0.25], [0.50, 0.25, 0.25]],
    )
    expected = ((1 + 2 + 1) / 3 + 1) / 2 * math.log(2)
    assert cross_entropy_per_class(logits, target).item() == pytest.approx(expected)


def test_dice_is_summed_over_the_batch():
    # Muscle 1 over the four labelled pixels: p = 1/4, 1/2, 1/2, 1/4, of which the middle two
    # are its own; muscle 2 occurs nowhere. Cross-entropy: 1, 1, 1, 2 times ln 2.
    dice = 2 * (1 / 2 + 1 / 2) / ((1 / 4 + 1 / 2 + 1 / 2 + 1 / 4) + 2)
    expected = 1 - dice + (1 + 1 + 1 + 2) / 4 * math.log(2)
    assert dice_ce(LOGITS, TARGET).item() == pytest.approx(expected)


def test_without_any_muscle_only_the_cross_entropy_stays():
    target = as_target([0, 0, X], [X, X, X])
    expected = (1 + 2) / 2 * math.log(2)
    assert dice_ce(LOGITS, target).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_perfect_and_worst_predictions(loss):
    target = as_target([0, 1, 2], [0, 0, X])
    right = torch.nn.functional.one_hot(target.clamp(max=2), 3).permute(0, 3, 1, 2) * 100.0
    assert loss(right, target).item() == pytest.approx(0, abs=1e-6)
    assert loss(right.roll(1, dims=1), target).item() > 90


@pytest.mark.parametrize("loss", LOSSES)
def test_unlabelled_pixels_change_nothing(loss):
    other = LOGITS.clone()
    other[:, :, :, 2] = torch.randn(2, 3, 1)
    assert loss(other, TARGET) == loss(LOGITS, TARGET)
    logits = LOGITS.clone().requires_grad_()
    loss(logits, TARGET).backward()
    assert (logits.grad[:, :, :, 2] == 0).all()
    assert (logits.grad[:, :, :, :2] != 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_without_labels_costs_nothing(loss):
    logits = LOGITS.clone().requires_grad_()
    value = loss(logits, torch.full_like(TARGET, UNLABELLED))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients(loss):
    torch.manual_seed(0)
    target = torch.tensor([0, 1, 1, 3, X, 0]).view(1, 2, 3)
    logits = torch.randn(1, 4, 2, 3, requires_grad=True)
    loss(logits, target).backward()
    # The losses compute in float32, so the numerical derivative takes wide steps.
    direction = torch.randn_like(logits)
    with torch.no_grad():
        rise = loss(logits + 0.01 * direction, target) - loss(logits - 0.01 * direction, target)
    assert (logits.grad * direction).sum().item() == pytest.approx(rise.item() / 0.02, rel=1e-3)
    # Following the gradient leads to the right answer, absent class included.
    learned = torch.zeros(1, 4, 2, 3, requires_grad=True)
    for _ in range(300):
        (slope,) = torch.autograd.grad(loss(learned, target), learned)
        learned = (learned - 2 * slope).detach().requires_grad_()
    assert (learned.argmax(1) == target)[target != X].all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(loss, dtype):
    """Many pixels: a sum in float16 would be infinite, one in bfloat16 would stop growing."""
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 300, 300), dtype=torch.uint8)
    logits = torch.randn(2, 3, 300, 300).to(dtype)
    expected = loss(logits.double().float(), target)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits, target)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    far = torch.tensor([60000.0, -60000.0]).half().view(1, 2, 1, 1)
    assert torch.isfinite(loss(far, torch.ones(1, 1, 1)))


def test_balanced_is_the_weighted_sum_of_both() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, generator=generator)
    target = torch.randint(0, 3, (2, 8, 8), generator=generator)
    wanted = losses.dice_ce(logits, target) + 3 * losses.cross_entropy_per_class(logits, target)
    assert torch.allclose(losses.balanced(logits, target, weight=3), wanted)


@pytest.mark.parametrize("name", ["quick", "recommended"])
def test_a_thin_muscle_is_pulled_up_from_the_first_step(name: str) -> None:
    """Where it is only pushed down, hundreds of steps pass before a network finds it, or all do."""
    # A 96 x 96 image of a leg: background, four large muscles, and two of a hundredth of it.
    pixels = [7000, 900, 500, 400, 300, 70, 46]
    target = torch.repeat_interleave(torch.arange(7), torch.tensor(pixels))[None, None]
    logits = torch.zeros(1, 7, 1, sum(pixels), requires_grad=True)
    make_loss(preset(name).training)(logits, target).backward()
    assert logits.grad is not None
    for muscle in range(1, 7):
        gradient, own = logits.grad[:, muscle], target == muscle
        assert -gradient[own].sum() > 0.4 * gradient[~own].sum()
