"""The map of where a model is unsure says voxel by voxel what its confidence says per slice."""

from pathlib import Path

import numpy as np
import torch

from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.learning.models.model_file import Model
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.predict import segment_volume
from napari_ssl_muscle.learning.settings import NetworkSettings, SliceSettings
from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.muscles import default_table


def untrained(crop: str) -> Model:
    card = ModelCard.model_validate(
        {
            "name": "untrained",
            "task": "segmentation",
            "network": NetworkSettings(width=4, depth=1),
            "slices": SliceSettings.model_validate({"crop": crop, "spacing": 3.0}),
            "in_channels": 1,
            "channels": ["T1w"],
            "muscles": default_table("thigh").to_rows(),
        }
    )
    torch.manual_seed(0)
    net = UNet.from_settings(card.network, 1, card.outputs)
    with torch.no_grad():
        weight, bias = list(net.parameters())[-2:]
        weight *= 30  # sure here and unsure there
        bias.zero_()
    return Model(card, net, Path("untrained.safetensors"))


def test_doubt_and_confidence_tell_the_same() -> None:
    scan = phantom_scan(1, 1, PhantomSettings(slices=4, size=64))
    channels = scan.image[None]
    plain = segment_volume(untrained("none"), channels, scan.spacing, thread_count=1)
    assert plain.uncertainty is None
    found = segment_volume(
        untrained("none"), channels, scan.spacing, thread_count=1, uncertainty=True
    )
    np.testing.assert_array_equal(found.labels, plain.labels)
    assert found.uncertainty is not None
    assert found.uncertainty.dtype == np.uint8
    assert found.uncertainty.std() > 1
    for z, sure in enumerate(found.confidence):
        muscle = found.labels[z] > 0
        assert muscle.any()
        assert abs(1 - found.uncertainty[z][muscle].mean() / 255 - sure) < 0.005


def test_there_is_no_doubt_where_the_model_did_not_look() -> None:
    scan = phantom_scan(1, 1, PhantomSettings(slices=3, size=64))
    wide = np.pad(scan.image, ((0, 0), (0, 0), (40, 40)))[None]
    found = segment_volume(untrained("leg"), wide, scan.spacing, thread_count=1, uncertainty=True)
    assert found.uncertainty is not None
    assert found.uncertainty.shape == wide.shape[1:]
    assert found.uncertainty[:, :, 40:-40].any()
    assert not found.uncertainty[:, :, [0, -1]].any()
