"""The U-Net: its size, its likeness to the reference network, and any image size.

`data/unet_reference.npz` was recorded by running the reference implementation
(milesial/Pytorch-UNet at 21d7850, torch 2.13, CPU) outside this project: UNet(1, 7), transposed
and bilinear; every tensor of its state dict filled in order from `default_rng(2015)` as in
`fill` below; input uniform in -2..2 from `default_rng(7)`, shape (2, 1, 45, 54); outputs in
evaluation mode, then in training mode; kept are every fourth row and column, mean and deviation
of each class, the mean of each running statistic after the training pass, and names and shapes of
all tensors.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ssl_muscle.learning.network.unet import PARTS, UNet, parameter_count
from napari_ssl_muscle.learning.settings import NetworkSettings

RECORDED = Path(__file__).parent / "unet_reference.npz"


def fill(net: torch.nn.Module, seed: int) -> None:
    """Convolutions get uniform numbers of He's variance, vectors numbers in 0.5..1.5."""
    rng = np.random.default_rng(seed)
    for tensor in net.state_dict().values():
        if tensor.ndim == 4:
            bound = np.float32(np.sqrt(6 / np.prod(tensor.shape[1:])))
            numbers = (rng.random(tensor.shape, dtype=np.float32) * 2 - 1) * bound
            tensor.copy_(torch.from_numpy(numbers))
        elif tensor.ndim == 1:
            tensor.copy_(torch.from_numpy(rng.random(tensor.shape, dtype=np.float32) + 0.5))


@pytest.mark.parametrize(("up", "count"), [("transposed", 31_036_871), ("bilinear", 17_262_215)])
def test_same_as_the_reference(up, count):
    with np.load(RECORDED) as recorded:
        record = {name: recorded[name] for name in recorded.files}
    if not np.array_equal(np.random.default_rng(2015).random(4, "f4"), record["first_random"]):
        pytest.skip("this numpy draws other random numbers than the recording's")
    net = UNet(1, 7, up=up)
    assert parameter_count(net) == count
    shapes = ";".join("x".join(map(str, v.shape)) for v in net.state_dict().values())
    assert shapes == record[f"{up}_shapes"][0]

    fill(net, 2015)
    image = torch.from_numpy(np.random.default_rng(7).random((2, 1, 45, 54), dtype="f4") * 4 - 2)
    for mode in ("eval", "train"):
        net.train(mode == "train")
        with torch.no_grad():
            logits = net(image).numpy()
        assert logits.shape == (2, 7, 45, 54)
        np.testing.assert_allclose(
            logits[:, :, ::4, ::4], record[f"{up}_{mode}_logits"], rtol=1e-3, atol=2e-3
        )
        moments = np.stack([logits.mean((0, 2, 3)), logits.std((0, 2, 3))])
        np.testing.assert_allclose(moments, record[f"{up}_{mode}_moments"], rtol=1e-3, atol=1e-3)
    statistics = [v.mean() for k, v in net.state_dict().items() if "running" in k]
    np.testing.assert_allclose(statistics, record[f"{up}_statistics"], rtol=1e-4)


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize("up", ["transposed", "bilinear"])
@pytest.mark.parametrize("depth", [1, 3])
def test_any_depth_norm_and_size_learns(up, norm, depth):
    torch.manual_seed(0)
    net = UNet(2, 3, width=4, depth=depth, up=up, norm=norm)
    assert len(net.encoder) == depth + 1
    for size in [(33, 18), (16, 16), (7, 5), (1, 9)]:
        logits = net(torch.randn(2, 2, *size))
        assert logits.shape == (2, 3, *size)
        net.zero_grad()
        logits.square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_large_image_is_not_padded():
    """Images that the reference accepts must not change because small ones are padded."""
    net = UNet(1, 2, width=4, depth=3).eval()
    seen = []
    net.encoder[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    net(torch.zeros(1, 1, 8, 11))
    assert seen == [(1, 1, 8, 11)]


@pytest.mark.parametrize("width", [4, 5, 12, 20])
def test_groups_fit_any_width(width):
    net = UNet(1, 2, width=width, depth=2, norm="group")
    for module in net.modules():
        if isinstance(module, torch.nn.GroupNorm):
            assert module.num_channels // module.num_groups >= 2


def test_parts_cover_every_parameter_once():
    net = UNet(1, 3, width=4, depth=2)
    groups = [p for name in PARTS for p in net.part(name).parameters()]
    assert len(groups) == len({id(p) for p in groups}) == len(list(net.parameters()))
    assert {name.split(".")[0] for name in net.state_dict()} == set(PARTS)
    # The bottleneck belongs to the encoder.
    assert max(p.shape[0] for p in net.encoder.parameters()) == 16
    assert max(p.shape[0] for p in net.decoder.state_dict().values() if p.ndim == 1) == 8


def test_settings_describe_the_network():
    settings = NetworkSettings(width=8, depth=2, up="bilinear", norm="group")
    net = UNet.from_settings(settings, 1, 4)
    assert net.network == settings
    assert (net.in_channels, net.classes) == (1, 4)
    with pytest.raises(ValueError, match="depth"):
        UNet(1, 4, depth=0)
    with pytest.raises(ValueError, match="output channel"):
        UNet(1, 0)
