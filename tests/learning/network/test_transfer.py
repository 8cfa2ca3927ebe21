"""Weights handed over between networks, and parts that stay as they are to the last bit."""

import itertools

import pytest
import torch

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.network.transfer import (
    freeze,
    frozen_sentence,
    trainable_parameters,
    transfer_weights,
)
from napari_ssl_muscle.learning.network.unet import UNet, parameter_count
from napari_ssl_muscle.learning.settings import TrainingSettings
from napari_ssl_muscle.learning.training.losses import dice_ce
from napari_ssl_muscle.learning.training.optimizer import make_optimizer


def a_net(in_channels=1, classes=3, seed=0, **network) -> UNet:
    torch.manual_seed(seed)
    net = UNet(in_channels, classes, **{"width": 4, "depth": 2, **network})
    net(torch.randn(2, in_channels, 16, 16))  # running statistics of its own
    return net


def snapshot(net) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def test_inpainting_weights_start_a_segmentation():
    """Outputs before the head are the source's; the mask channel of the pretext is dropped."""
    source, net = a_net(in_channels=2, classes=1, seed=1).eval(), a_net(seed=2).eval()
    head = snapshot(net.head)
    done = transfer_weights(net, source, head=False)

    image = torch.randn(1, 1, 16, 16)
    without_hole = torch.cat([image, torch.zeros_like(image)], dim=1)
    features = []
    for module, x in ((source, without_hole), (net, image)):
        module.head.register_forward_pre_hook(lambda _, args: features.append(args[0]))
        with torch.no_grad():
            module(x)
    torch.testing.assert_close(*features)

    assert all(torch.equal(tensor, head[name]) for name, tensor in net.head.state_dict().items())
    given = source.state_dict()
    copied = [n for n in given if not n.startswith("head.") and n != "encoder.0.conv1.weight"]
    assert all(torch.equal(net.state_dict()[name], given[name]) for name in copied)
    report = " ".join(done)
    assert "Encoder and decoder start from the given weights." in report
    assert "for 2 inputs; the last input is not used" in report
    assert "The head is made anew." in report


def test_new_inputs_begin_at_zero():
    source, net = a_net(seed=1).eval(), a_net(in_channels=3, seed=2).eval()
    done = transfer_weights(net, source, head=True)
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(net(image), source(image[:, :1]))
    assert "last 2 inputs begin with zero weights" in " ".join(done)


def test_head_is_copied_only_when_asked():
    source, net = a_net(seed=1), a_net(seed=2)
    done = transfer_weights(net, source, head=True)
    assert done == ["Encoder, decoder and head start from the given weights."]
    given = source.state_dict()
    assert all(torch.equal(tensor, given[name]) for name, tensor in net.state_dict().items())
    # A copy, not the same memory.
    with torch.no_grad():
        source.head.weight.zero_()
    assert net.head.weight.any()


@pytest.mark.parametrize(
    ("network", "named"),
    [
        ({"width": 8}, "width 8 instead of 4"),
        ({"depth": 3}, "depth 3 instead of 2"),
        ({"up": "bilinear"}, "up bilinear instead of transposed"),
        ({"norm": "group"}, "norm group instead of batch"),
        ({"norm": "instance"}, "norm instance instead of batch"),
        ({"width": 8, "depth": 1}, "width 8 instead of 4; depth 1 instead of 2"),
    ],
)
def test_another_network_is_refused_by_what_differs(network, named):
    source, net = a_net(seed=1, **network), a_net(seed=2)
    before = snapshot(net)
    with pytest.raises(BadInput) as error:
        transfer_weights(net, source, head=False)
    assert f"({named})" in str(error.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_head_with_other_outputs_is_refused():
    with pytest.raises(BadInput, match="head to start from has 5 outputs where 3 are needed"):
        transfer_weights(a_net(), a_net(classes=5), head=True)


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop"])
@pytest.mark.parametrize(
    ("mode", "frozen"),
    [
        ("none", ()),
        ("encoder", ("encoder",)),
        ("decoder", ("decoder",)),
        ("both", ("encoder", "decoder")),
    ],
)
def test_frozen_parts_do_not_change_by_a_bit(mode, frozen, optimizer):
    net = a_net()
    # Gradients from before must not be applied by an optimiser that holds every parameter.
    net(torch.randn(2, 1, 16, 16)).sum().backward()
    freeze(net, mode)
    before = snapshot(net)
    kind = {"adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}[optimizer]
    steps = kind(net.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(3):
        net.train()
        loss = dice_ce(net(torch.randn(2, 1, 16, 16) * 3 + 1), torch.randint(0, 3, (2, 16, 16)))
        steps.zero_grad(set_to_none=False)  # zeros, to which decay would be added
        loss.backward()
        steps.step()
        net.eval()
    changed = {n for n, tensor in net.state_dict().items() if not torch.equal(tensor, before[n])}
    assert changed == {name for name in before if name.split(".")[0] not in frozen}


def test_counts_and_optimiser_see_only_what_learns():
    net = a_net()
    total = parameter_count(net)
    encoder, decoder, head = (
        sum(p.numel() for p in part.parameters()) for part in (net.encoder, net.decoder, net.head)
    )
    expected = {
        "encoder": decoder + head,
        "decoder": encoder + head,
        "both": head,
        "none": total,
    }
    # In any order: what was frozen before learns again.
    for mode, count in itertools.chain(expected.items(), reversed(expected.items())):
        freeze(net, mode)
        assert trainable_parameters(net) == count
        settings = TrainingSettings()
        groups = make_optimizer(net.parameters(), settings).param_groups
        assert sum(p.numel() for group in groups for p in group["params"]) == count
        assert f"{count:,} of {total:,}" in frozen_sentence(net)
    freeze(net, "both")
    assert frozen_sentence(net).startswith("Frozen: encoder and decoder;")
    freeze(net, "none")
    assert all(module.training for module in net.train().modules())


def test_counts_of_the_reference_network():
    with torch.device("meta"):
        net = UNet(1, 7)
    counts = {}
    for mode in ("none", "encoder", "decoder", "both"):
        freeze(net, mode)
        counts[mode] = trainable_parameters(net)
    assert counts == {
        "none": 31_036_871,
        "encoder": 12_190_855,
        "decoder": 18_846_471,
        "both": 455,
    }
