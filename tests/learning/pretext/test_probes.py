"""Probe slices: the same ones with the same masks, and what is said of the masks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import nn

from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.image_cache import ImageStore
from napari_ssl_muscle.learning.data.validation_split import Holdout
from napari_ssl_muscle.learning.pretext.inpainting_task import InpaintingTask
from napari_ssl_muscle.learning.pretext.probes import Probes
from napari_ssl_muscle.learning.settings import (
    AugmentSettings,
    PretextSettings,
    Recipe,
    SliceSettings,
)


@pytest.fixture(scope="module")
def store(cases: list[TrainingCase], tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    settings = SliceSettings(crop="leg", spacing=4.0)
    store = ImageStore(tmp_path_factory.mktemp("cache"), settings, with_bodies=True)
    store.add(cases[0])
    return store


def probes_of(store: ImageStore, **settings: object) -> Probes:
    items = store.items(range(len(store.series)), labelled=False)
    recipe = Recipe(
        slices=SliceSettings(size=64),
        augment=AugmentSettings.off(),
        pretext=PretextSettings.model_validate(settings),
    )
    return Probes(InpaintingTask(store, Holdout(items, items, ""), recipe), items)


class Shift(nn.Module):
    """Adds a weight to the first channel."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :1] + self.weight


def test_probes_are_refreshed_and_stay_the_same_slices(store: ImageStore, tmp_path: Path) -> None:
    probes, net = probes_of(store, kernel_size=8, mask_percent=40), Shift()
    before = dict(np.load(probes.write(net, tmp_path)))
    picture = imread(tmp_path / "probes.png")
    with torch.no_grad():
        net.weight += 0.5
    after = dict(np.load(probes.write(net, tmp_path)))
    for name in ("original", "masked"):
        np.testing.assert_array_equal(before[name], after[name])
    np.testing.assert_allclose(after["reconstruction"], before["reconstruction"] + 0.5, atol=1e-6)
    np.testing.assert_allclose(
        after["error"], np.abs(after["reconstruction"] - after["original"]), atol=1e-6
    )
    # Six probes below each other; original, masked, reconstruction and error side by side.
    assert after["original"].shape == (6, 64, 64)
    assert picture.shape[:2] == (6 * 64, 4 * 64)
    assert not np.array_equal(picture, imread(tmp_path / "probes.png"))
    # Where nothing was masked, this network gave the image back.
    seen = before["masked"] == before["original"]
    assert 0.5 < seen.mean() < 1
    assert before["error"][seen].max() < 1e-6


def test_the_overshoot_is_said(store: ImageStore) -> None:
    probes = probes_of(store, kernel_size=16, mask_percent=30, inside_body=False)
    covered = probes.changed[:, 0].sum(dim=(1, 2)).numpy()
    more = float((covered - np.ceil(0.3 * 64 * 64)).mean())
    assert 0 < more < 256
    text = probes.describe()
    assert f"Masked: {100 * covered.mean() / 4096:.1f} % of the image, on average " in text
    assert f"{more:.0f} pixels more than the 30 % asked for (always under 16² = 256)" in text


def test_exact_masks_overshoot_by_nothing(store: ImageStore) -> None:
    probes = probes_of(store, kernel_size=8, mask_percent=25, inside_body=False, exact=True)
    text = probes.describe()
    assert "Masked: 25.0 % of the image; a masked pixel" in text


def test_the_share_of_the_body_is_said(store: ImageStore) -> None:
    probes = probes_of(store, kernel_size=4, mask_percent=50, exact=True)
    assert "(50.0 % of the body)" in probes.describe()


@pytest.mark.parametrize(("kernel", "copying"), [(4, True), (60, False)])
def test_a_task_that_is_mostly_copying_is_called_so(
    store: ImageStore, kernel: int, copying: bool
) -> None:
    probes = probes_of(store, kernel_size=kernel, mask_percent=80, inside_body=False)
    assert ("mostly copying" in probes.describe()) == copying


def test_noise_masks_nothing(store: ImageStore) -> None:
    assert "Every pixel is changed" in probes_of(store, corruption="noise").describe()
