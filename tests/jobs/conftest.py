"""A small synthetic cohort, a model that has learned nothing, and the shell to use them with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from napari_ssl_muscle.cli import main
from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.learning.models.model_file import save_model
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.settings import NetworkSettings, SliceSettings
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.muscles import default_table

SMALLEST = NetworkSettings(width=4, depth=1)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three subjects, one session each, BIDS; read it, never write into it."""
    folder = tmp_path_factory.mktemp("cohort") / "phantom"
    return write_phantom(folder, PhantomSettings(subjects=3, sessions=1, slices=6, size=48))


@pytest.fixture(scope="session")
def scan(cohort: Path) -> Path:
    return cohort / "sub-01" / "ses-01" / "anat" / "sub-01_ses-01_T1w.nii.gz"


@pytest.fixture(scope="session")
def labels(cohort: Path) -> Path:
    place = cohort / "derivatives" / "labels" / "sub-01" / "ses-01" / "anat"
    return place / "sub-01_ses-01_dseg.nii.gz"


def write_model(path: Path, **changes: object) -> Path:
    """Write a model with random weights."""
    card = ModelCard.model_validate(
        {
            "name": path.stem,
            "task": "segmentation",
            "network": SMALLEST,
            "slices": SliceSettings(crop="none", spacing=None),
            "in_channels": 1,
            "channels": ["T1w"],
            "muscles": default_table("thigh").to_rows(),
            **changes,
        }
    )
    torch.manual_seed(0)
    net = UNet.from_settings(card.network, card.in_channels, card.outputs)
    torch.nn.init.zeros_(list(net.parameters())[-1])  # or the head's bias decides everywhere
    return save_model(path, net.state_dict(), card)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "plain.safetensors")


@pytest.fixture
def make_model() -> Callable[..., Path]:
    """Return `write_model`, for models that differ from the usual one."""
    return write_model


@pytest.fixture
def shell() -> Callable[..., Result]:
    """Return a function that runs `ssl-muscle` with some words."""

    def run(*words: object) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words])

    return run
