"""Model files: weights and card in one safetensors file, written whole or not at all.

Nothing here opens a pickle.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_whole
from napari_ssl_muscle.learning.models.card import (
    ModelCard,
    card_metadata,
    card_of,
    find_model,
)
from napari_ssl_muscle.learning.models.safetensors_header import read_header
from napari_ssl_muscle.learning.network.unet import UNet


@dataclass(frozen=True)
class Model:
    """A model ready for use: its card, its network in evaluation mode, and its file."""

    card: ModelCard
    net: UNet
    path: Path


def save_model(
    path: Path, state: Mapping[str, Tensor], card: ModelCard, half: bool = False
) -> Path:
    """Write a model file, whole or not at all; return its path.

    Parameters
    ----------
    path
        Where it goes; an existing file is replaced.
    state
        The network's state dict, on any device and in any memory layout.
    card
        Its card.
    half
        Store the convolutions' weights as float16: half the size, for models that are shipped.
        Vectors (normalisation, its running statistics, biases) stay float32: they are few and
        their range is wide. A tensor whose numbers float16 cannot hold stays float32, too.

    Raises
    ------
    BadInput
        If weights are not finite, or the file cannot be written.
    ValueError
        If the state does not fit the card's network.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if problem := _misfit(shapes, card):
        raise ValueError(f"the state does not fit the card: {problem}")
    tensors = {}
    for name, tensor in state.items():
        # safetensors takes neither other memory layouts nor tensors that share memory.
        tensor = tensor.detach().to("cpu", copy=True).contiguous()
        if not torch.isfinite(tensor).all():
            raise BadInput(
                f"The model {card.name} has weights that are not finite ({name}), so {path} was "
                "not written; train again with a lower learning rate."
            )
        if half and tensor.ndim > 1 and tensor.is_floating_point():
            rounded = tensor.half()
            tensor = rounded if torch.isfinite(rounded).all() else tensor
        tensors[name] = tensor
    metadata = card_metadata(card)
    write_tensors(path, tensors, metadata)
    return path


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all.

    Raises
    ------
    CannotWrite
        If the disk is full or cannot be written, which safetensors says in an error of its own.
    """

    def save(part: Path) -> None:
        try:
            safetensors.torch.save_file(tensors, part, metadata)
        except safetensors.SafetensorError as error:
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(part)) from error

    write_whole(path, save)


def replace_card(path: Path, card: ModelCard) -> None:
    """Give a model file another card; its weights stay, bit for bit.

    Raises
    ------
    BadInput
        If the file is no model or cannot be written.
    """
    read_header(path)
    tensors = load_tensors(path.read_bytes())
    metadata = card_metadata(card)
    write_tensors(path, tensors, metadata)


def load_model(name_or_path: str | Path) -> Model:
    """Load a model by file, run folder or name, as `card.find_model` does.

    Its network is in evaluation mode and in float32, whatever the file stores.

    Raises
    ------
    BadInput
        If there is no such model, the file is broken, or its weights do not fit its card.
    """
    path = find_model(name_or_path)
    header = read_header(path)
    card = card_of(header, path)
    # Before anything is allocated: a card could claim a network of any size.
    if problem := _misfit({name: shape for name, (_, shape) in header.tensors.items()}, card):
        raise BadInput(
            f"The weights in {path} do not fit its card: {problem}; choose another model."
        )
    try:
        # Not through a memory map: on Windows a mapped file can be neither replaced nor deleted.
        state = load_tensors(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise BadInput(f"Cannot read the model {path}: {error}; choose another file.") from error
    if bad := [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]:
        raise BadInput(
            f"The model {path} has weights that are not finite ({bad[0]}); choose another model."
        )
    net = UNet.from_settings(card.network, card.in_channels, card.outputs)
    net.load_state_dict(state)
    return Model(card, net.eval(), path)


def expected_shapes(card: ModelCard) -> dict[str, tuple[int, ...]]:
    """Return name → shape of every tensor that the card's network has, allocating none."""
    with torch.device("meta"):
        net = UNet.from_settings(card.network, card.in_channels, card.outputs)
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def _misfit(shapes: Mapping[str, tuple[int, ...]], card: ModelCard) -> str | None:
    """Describe the first way in which tensors differ from the card's network, or return None."""
    expected = expected_shapes(card)
    if missing := [name for name in expected if name not in shapes]:
        return f"{missing[0]} is missing"
    if extra := [name for name in shapes if name not in expected]:
        return f"{extra[0]} belongs to no such network"
    for name, shape in expected.items():
        if shapes[name] != shape:
            return f"{name} has shape {shapes[name]} where the network has {shape}"
    return None
