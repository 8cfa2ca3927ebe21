"""Two pretrainings on the same slices and masks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.learning.models.model_file import Model
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.pretext.comparison import (
    ReconstructionComparison,
    check_comparable,
    mean_error,
)
from napari_ssl_muscle.learning.pretext.reconstruction import compare_reconstructions
from napari_ssl_muscle.learning.settings import (
    NetworkSettings,
    PretextSettings,
    Recipe,
    SliceSettings,
)

SLICES = SliceSettings(crop="none", spacing=4.0)
PRETEXT = PretextSettings(kernel_size=4, mask_percent=40, inside_body=False)


def a_model(name: str, *, mask_channel: bool = True, depth: int = 1, says: float = 0) -> Model:
    """A network that gives one number everywhere."""
    network = NetworkSettings(width=4, depth=depth)
    card = ModelCard(
        name=name,
        task="inpainting",
        network=network,
        slices=SLICES,
        in_channels=1 + mask_channel,
        channels=["image"],
        recipe=Recipe(network=network, slices=SLICES, pretext=PRETEXT),
    )
    net = UNet.from_settings(network, card.in_channels, 1)
    with torch.no_grad():
        net.head.weight.zero_()
        net.head.bias.fill_(says)
    return Model(card, net.eval(), Path(name))


def compared(case: TrainingCase, *models: Model, **more: object) -> ReconstructionComparison:
    volume = case.scans[0].read()[None]
    spacing = case.scans[0].geometry.spacing
    return compare_reconstructions(models, volume, spacing, **more)  # type: ignore[arg-type]


def test_every_run_restores_the_same_masked_images(cases: list[TrainingCase]) -> None:
    models = a_model("a"), a_model("b", mask_channel=False, depth=2, says=0.5)
    found = compared(cases[0], *models, slices=[2, 7])
    assert found.slices.tolist() == [2, 7]
    assert found.original.shape == found.masked.shape == found.holes.shape
    np.testing.assert_array_equal(found.masked[found.holes], 0)
    np.testing.assert_array_equal(found.masked[~found.holes], found.original[~found.holes])
    first, second = found.runs
    assert (first.name, second.name) == ("a", "b")
    assert (first.images == 0).all()
    np.testing.assert_allclose(second.images, 0.5)
    np.testing.assert_allclose(second.errors, np.abs(found.original - 0.5), atol=1e-6)
    for index, holes in enumerate(found.holes):
        inside = found.original[index][holes].astype(np.float64)
        assert found.masked_pixels[index] == holes.sum() > 0.4 * holes.size
        # What says 0 everywhere is the constant that nothing learned reaches.
        assert first.masked_error[index] == pytest.approx((inside**2).mean())
        assert first.masked_error[index] == pytest.approx(found.constant_error[index])
        assert second.masked_error[index] == pytest.approx(((inside - 0.5) ** 2).mean())
        whole = found.original[index].astype(np.float64)
        assert second.image_error[index] == pytest.approx(((whole - 0.5) ** 2).mean())


def test_masks_depend_on_slice_and_seed_only(cases: list[TrainingCase]) -> None:
    model = a_model("a")
    several = compared(cases[0], model, slices=[2, 7], seed=1)
    alone = compared(cases[0], model, slices=[7], seed=1)
    other = compared(cases[0], model, slices=[7], seed=2)
    np.testing.assert_array_equal(several.holes[1], alone.holes[0])
    assert not np.array_equal(several.holes[0], several.holes[1])
    assert not np.array_equal(alone.holes, other.holes)


def test_other_masks_can_be_asked_for(cases: list[TrainingCase]) -> None:
    settings = PRETEXT.model_copy(update={"mask_percent": 10.0, "exact": True})
    found = compared(cases[0], a_model("a"), slices=[3], pretext=settings)
    assert found.holes.sum() == np.ceil(found.holes.size / 10)


def test_what_differs_between_runs_is_named() -> None:
    first, second = a_model("a").card, a_model("b").card
    sliced = SLICES.model_copy(update={"spacing": 2.0})
    with pytest.raises(BadInput, match=r"a and b see different images \(spacing 4.0 and 2.0\)"):
        check_comparable([first, second.model_copy(update={"slices": sliced})])
    with pytest.raises(BadInput, match=r"1 and 2 channel\(s\)"):
        check_comparable([first, second.model_copy(update={"channels": ["fat", "water"]})])
    with pytest.raises(BadInput, match="b is no pretraining"):
        check_comparable([first, second.model_copy(update={"task": "segmentation"})])


def test_a_slice_that_is_not_there_is_said(cases: list[TrainingCase]) -> None:
    with pytest.raises(BadInput, match="slices 0 to 11"):
        compared(cases[0], a_model("a"), slices=[12])


def test_the_mean_is_over_masked_pixels() -> None:
    errors, pixels = np.array([1.0, 4.0, np.nan]), np.array([3, 1, 0])
    assert mean_error(errors, pixels) == pytest.approx(1.75)
    assert np.isnan(mean_error(np.array([np.nan]), np.array([0])))
