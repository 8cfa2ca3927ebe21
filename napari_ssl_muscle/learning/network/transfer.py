"""Weights transferred from one network to another, and parts that are frozen."""

from __future__ import annotations

import math

import torch
from torch import nn

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.network.flops import FROZEN
from napari_ssl_muscle.learning.network.unet import PARTS, UNet, parameter_count
from napari_ssl_muscle.learning.settings import FreezeMode, NetworkSettings

_FIRST = "encoder.0.conv1.weight"


def transfer_weights(
    net: UNet, source: UNet, *, head: bool, inputs: int | None = None
) -> list[str]:
    """Copy another network's weights into `net`: all, or all but the head.

    The source may have been trained for inpainting or for segmentation. Where it had more inputs
    (a pretext's mask channel, which is zero where there is no hole), the first convolution's
    weights for the last ones are dropped; where it had fewer, the new inputs begin with zero
    weights, so that the network starts as the source was.

    Parameters
    ----------
    net
        Takes the weights; it is changed in place, or not at all if this raises.
    source
        The network whose weights are copied.
    head
        Copy the head, too: only right when both have the same muscles in the same order.
    inputs
        How many of the source's inputs mean something here, counted from the first; None for all.

    Returns
    -------
    list of str
        What was copied, dropped and made anew, as sentences for the user.

    Raises
    ------
    BadInput
        If width, depth, up-sampling or normalisation differ, or the head has other outputs
        although it was asked for; the sentence names what differs.
    """
    different = [
        f"{name} {getattr(source.network, name)} instead of {getattr(net.network, name)}"
        for name in NetworkSettings.model_fields
        if getattr(source.network, name) != getattr(net.network, name)
    ]
    if different:
        raise BadInput(
            f"The weights to start from belong to another network ({'; '.join(different)}); "
            "choose the same network settings or other weights."
        )
    if head and source.classes != net.classes:
        raise BadInput(
            f"The head to start from has {source.classes} outputs where "
            f"{net.classes} are needed; let the head be made anew."
        )
    wanted, state = net.state_dict(), source.state_dict()
    report = []
    there = source.in_channels
    shared = min(there if inputs is None else inputs, there, net.in_channels)
    if shared < max(there, net.in_channels):
        first = torch.zeros_like(wanted[_FIRST])
        first[:, :shared] = state[_FIRST][:, :shared]
        state[_FIRST] = first
        if shared < there:
            report.append(_dropped_sentence(there, shared))
        if shared < net.in_channels:
            report.append(_new_sentence(shared, net.in_channels))
    with torch.no_grad():
        for name, tensor in wanted.items():
            if head or not name.startswith("head."):
                tensor.copy_(state[name])
    parts = "Encoder, decoder and head" if head else "Encoder and decoder"
    report.insert(0, f"{parts} start from the given weights.")
    if not head:
        report.append("The head is made anew.")
    return report


def _dropped_sentence(given: int, taken: int) -> str:
    which = "last input is" if given - taken == 1 else f"last {given - taken} inputs are"
    return f"The given weights are for {given} inputs; the {which} not used here."


def _new_sentence(taken: int, wanted: int) -> str:
    which = "last input begins" if wanted - taken == 1 else f"last {wanted - taken} inputs begin"
    return f"The {which} with zero weights, since the given network had only {taken} of use here."


def freeze(net: UNet, mode: FreezeMode) -> None:
    """Freeze parts of the network; what was frozen before and is not named now learns again.

    Frozen parameters need no gradient and lose the one they have, so no optimiser moves them,
    not even by weight decay. Frozen normalisation layers stay in evaluation mode through every
    `net.train()`, so their running statistics stay as they are, bit for bit.

    Parameters
    ----------
    net
        Changed in place. Make the optimiser afterwards.
    mode
        "encoder" (bottleneck included), "decoder", "both" (only the head learns) or "none".
    """
    net.frozen = FROZEN[mode]
    for name in PARTS:
        for parameter in net.part(name).parameters():
            parameter.requires_grad_(name not in net.frozen)
            if name in net.frozen:
                parameter.grad = None
    net.train(net.training)


def trainable_parameters(net: nn.Module) -> int:
    """Return how many numbers learn; `unet.parameter_count` gives all of them."""
    return sum(math.prod(p.shape) for p in net.parameters() if p.requires_grad)


def learning_by_mode(network: NetworkSettings, inputs: int, outputs: int) -> dict[FreezeMode, int]:
    """Return how many numbers of a network learn in each freeze mode; "none" is all of them."""
    with torch.device("meta"):  # shapes alone: no memory, no random numbers drawn
        net = UNet.from_settings(network, inputs, outputs)
    found: dict[FreezeMode, int] = {}
    for mode in FROZEN:
        freeze(net, mode)
        found[mode] = trainable_parameters(net)
    return found


def frozen_sentence(net: UNet) -> str:
    """Return a sentence on what is frozen and how much learns."""
    learns = f"{trainable_parameters(net):,} of {parameter_count(net):,} parameters learn"
    if not net.frozen:
        return f"Nothing is frozen: {learns}."
    return f"Frozen: {' and '.join(name for name in PARTS if name in net.frozen)}; {learns}."
