"""Weights handed over from one network to another, and parts that are frozen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.models.model_file import Model
from napari_ssl_muscle.learning.network.flops import FROZEN
from napari_ssl_muscle.learning.network.unet import PARTS, UNet, parameter_count
from napari_ssl_muscle.learning.settings import FreezeMode, NetworkSettings

_FIRST = "encoder.0.conv1.weight"


@dataclass(frozen=True)
class HandOver:
    """What was handed over.

    Attributes
    ----------
    copied, fresh
        Names of the tensors that were copied (whole or in part), and of those left as they were
        made.
    report
        What happened, as sentences for the user.
    """

    copied: tuple[str, ...]
    fresh: tuple[str, ...]
    report: tuple[str, ...]


def differences(given: NetworkSettings, wanted: NetworkSettings) -> list[str]:
    """Return in words what differs between two networks' shapes; nothing if weights fit.

    Parameters
    ----------
    given
        The network that hands its weights over.
    wanted
        The network that takes them.
    """
    return [
        f"{name} {getattr(given, name)} instead of {getattr(wanted, name)}"
        for name in NetworkSettings.model_fields
        if getattr(given, name) != getattr(wanted, name)
    ]


def hand_over(
    net: UNet,
    source: Model | UNet | Mapping[str, Tensor],
    *,
    head: bool,
    inputs: int | None = None,
) -> HandOver:
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
        A loaded model, a network, or the state dict of one.
    head
        Copy the head, too: only right when both have the same muscles in the same order.
    inputs
        How many of the source's inputs mean something here, counted from the first; None for all.

    Returns
    -------
    HandOver
        What was copied and what was made anew.

    Raises
    ------
    BadInput
        If width, depth, up-sampling or normalisation differ, or the head has other outputs
        although it was asked for; the sentence names what differs.
    """
    wanted = net.state_dict()
    if isinstance(source, Model):
        source = source.net
    if isinstance(source, UNet):
        given, state = source.network, dict(source.state_dict())
    else:
        state = dict(source)
        given = network_of(state, norm=net.network.norm)
    if found := differences(given, net.network):
        raise BadInput(
            f"The weights to start from belong to another network ({'; '.join(found)}); "
            "choose the same network settings or other weights."
        )
    if head and state["head.weight"].shape[0] != net.classes:
        raise BadInput(
            f"The head to start from has {state['head.weight'].shape[0]} outputs where "
            f"{net.classes} are needed; let the head be made anew."
        )

    report = []
    there = state[_FIRST].shape[1]
    shared = min(there if inputs is None else inputs, there, net.in_channels)
    if shared < max(there, net.in_channels):
        first = torch.zeros_like(wanted[_FIRST])
        first[:, :shared] = state[_FIRST][:, :shared]
        state[_FIRST] = first
        if shared < there:
            report.append(_dropped_sentence(there, shared))
        if shared < net.in_channels:
            report.append(_new_sentence(shared, net.in_channels))
    copied = [name for name in wanted if head or not name.startswith("head.")]
    for name in copied:
        if name not in state or state[name].shape != wanted[name].shape:
            raise BadInput(
                f"The weights to start from do not fit ({name} is missing or has another shape); "
                "choose other weights."
            )
    with torch.no_grad():
        for name in copied:
            wanted[name].copy_(state[name])
    parts = "Encoder, decoder and head" if head else "Encoder and decoder"
    report.insert(0, f"{parts} start from the given weights.")
    if not head:
        report.append("The head is made anew.")
    fresh = tuple(name for name in wanted if name not in copied)
    return HandOver(tuple(copied), fresh, tuple(report))


def _dropped_sentence(given: int, taken: int) -> str:
    which = "last input" if given - taken == 1 else f"last {given - taken} inputs"
    return (
        f"The first convolution's weights for the {which} of {given} are dropped, "
        f"since {taken} {'is' if taken == 1 else 'are'} of use here."
    )


def _new_sentence(taken: int, wanted: int) -> str:
    which = "last input begins" if wanted - taken == 1 else f"last {wanted - taken} inputs begin"
    return f"The {which} with zero weights, since the given network had only {taken} of use here."


def network_of(state: Mapping[str, Tensor], norm: str = "instance") -> NetworkSettings:
    """Return the settings of the network that a state dict belongs to.

    Parameters
    ----------
    state
        State dict of a `UNet`.
    norm
        Taken where the tensors cannot tell: instance and group normalisation look the same.

    Raises
    ------
    BadInput
        If these are no weights of a `UNet`.
    """
    depth = -1
    while f"encoder.{depth + 1}.conv1.weight" in state:
        depth += 1
    needed = [_FIRST, "head.weight", f"decoder.{depth - 1}.convolutions.conv1.weight"]
    if depth < 1 or any(name not in state or state[name].ndim != 4 for name in needed):
        raise BadInput(
            "The weights to start from are no U-Net of this program; choose a model or a run, "
            "or turn a reference checkpoint into one with ssl-muscle import-reference."
        )
    if "encoder.0.norm1.running_mean" in state:
        norm = "batch"
    elif norm == "batch":
        norm = "instance"
    up = "transposed" if "decoder.0.up.weight" in state else "bilinear"
    fields = {"width": state[_FIRST].shape[0], "depth": depth, "up": up, "norm": norm}
    try:
        return NetworkSettings.model_validate(fields)
    except ValueError as error:
        raise BadInput(
            f"The weights to start from belong to a network of width {fields['width']} and depth "
            f"{depth}, which this program does not build; choose other weights."
        ) from error


def freeze(net: UNet, mode: FreezeMode) -> None:
    """Freeze parts of the network; what was frozen before and is not named now learns again.

    Frozen parameters ask for no gradient and lose the one they have, so no optimiser moves them,
    not even by weight decay. Frozen normalisation layers stay in evaluation mode through every
    `net.train()`, so their running statistics stay as they are, bit for bit.

    Parameters
    ----------
    net
        Changed in place. Make the optimiser afterwards, from `parameters_to_train`.
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


def parameters_to_train(net: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are not frozen, for the optimiser."""
    return [parameter for parameter in net.parameters() if parameter.requires_grad]


def trainable_parameters(net: nn.Module) -> int:
    """Return how many numbers learn; `unet.parameter_count` gives all of them."""
    return sum(math.prod(parameter.shape) for parameter in parameters_to_train(net))


def learning_by_mode(network: NetworkSettings, inputs: int, outputs: int) -> dict[FreezeMode, int]:
    """Return how many numbers of a network learn in each freeze mode; "none" is all of them.

    Parameters
    ----------
    network
        Its shape.
    inputs, outputs
        Its channels in and out.
    """
    with torch.device("meta"):  # shapes alone: no memory, no random numbers drawn
        net = UNet.from_settings(network, inputs, outputs)
    found: dict[FreezeMode, int] = {}
    for mode in FROZEN:
        freeze(net, mode)
        found[mode] = trainable_parameters(net)
    return found


def frozen_sentence(net: UNet) -> str:
    """Return in words what is frozen and how much learns."""
    learns = f"{trainable_parameters(net):,} of {parameter_count(net):,} parameters learn"
    if not net.frozen:
        return f"Nothing is frozen: {learns}."
    return f"Frozen: {' and '.join(name for name in PARTS if name in net.frozen)}; {learns}."
