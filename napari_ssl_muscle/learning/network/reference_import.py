"""Checkpoints of the reference U-Net program, turned into models of this one.

A checkpoint of that program (milesial/Pytorch-UNet) is a pickle. This is the one place where one
is opened: by `torch.load(weights_only=True)`, which builds tensors and plain values and nothing
else, and in a child process of its own, which writes a safetensors file and then ends.
The parent never unpickles anything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors.torch import load as load_tensors
from torch import Tensor

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.provenance import versions
from napari_ssl_muscle.learning.models.card import ModelCard, default_channels
from napari_ssl_muscle.learning.models.model_file import (
    expected_shapes,
    save_model,
)
from napari_ssl_muscle.learning.models.safetensors_header import read_header
from napari_ssl_muscle.learning.settings import NetworkSettings, SliceSettings
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable

SECONDS = 300.0
"""Time that the child process has; reading the full-size network takes a few seconds."""

_UNUSABLE_EXIT = 3  # exit code of a child that found the checkpoint unusable and printed why
_VALUES = "mask_values"  # the one entry beside the weights: the masks' pixel values, by class
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def key_map(depth: int, up: str) -> dict[str, str]:
    """Return the reference's name of every tensor → the name here, in the state dict's order.

    The reference program always has depth 4. Bilinear up-sampling has no tensors of its own.
    """
    names: dict[str, str] = {}

    def convolutions(theirs: str, ours: str) -> None:
        for number, (convolution, norm) in enumerate(((0, 1), (3, 4)), start=1):
            names[f"{theirs}.double_conv.{convolution}.weight"] = f"{ours}.conv{number}.weight"
            for kind in _NORM:
                names[f"{theirs}.double_conv.{norm}.{kind}"] = f"{ours}.norm{number}.{kind}"

    convolutions("inc", "encoder.0")
    for level in range(1, depth + 1):
        convolutions(f"down{level}.maxpool_conv.1", f"encoder.{level}")
    for step in range(depth):
        if up == "transposed":
            for kind in ("weight", "bias"):
                names[f"up{step + 1}.up.{kind}"] = f"decoder.{step}.up.{kind}"
        convolutions(f"up{step + 1}.conv", f"decoder.{step}.convolutions")
    for kind in ("weight", "bias"):
        names[f"outc.conv.{kind}"] = f"head.{kind}"
    return names


def import_reference(
    checkpoint: Path,
    out: Path,
    *,
    table: MuscleTable | None = None,
    title: str = "",
    seconds: float = SECONDS,
) -> ModelCard:
    """Turn a checkpoint of the reference U-Net into a model file; return its card.

    Input channels, classes, width, depth and the way of up-sampling are read off the weights.

    Parameters
    ----------
    checkpoint
        File of the reference program: a state dict, with or without its "mask_values".
    out
        The model file to write; its stem becomes the model's name.
    table
        The muscles, in the order of the checkpoint's classes without the background. By default
        they are called "class 1" and so on, with the label values of the masks that the
        checkpoint learned from where it has them, else 1, 2, …
    title
        A line on what the model is.
    seconds
        Time that the child process has.

    Raises
    ------
    BadInput
        If the file is missing or no such checkpoint, if anything in it is no weight, if the
        muscles do not fit its classes, or if the model cannot be written.
    RuntimeError
        If the child process fails for another reason than what is in the file.
    """
    if not checkpoint.is_file():
        raise BadInput(
            f"There is no file {checkpoint}; choose a checkpoint of the reference U-Net."
        )
    with tempfile.TemporaryDirectory(prefix="ssl-muscle-", ignore_cleanup_errors=True) as folder:
        plain = Path(folder) / "weights.safetensors"
        _convert_in_child(checkpoint, plain, seconds)
        header = read_header(plain)
        # Not memory-mapped: on Windows the temporary file could then not be deleted.
        state = load_tensors(plain.read_bytes())
    values = json.loads(header.metadata.get(_VALUES, "null"))
    card = _card(checkpoint, out, state, values, table, title)
    names = key_map(card.network.depth, card.network.up)
    _check_tensors(checkpoint, state, names, card)
    save_model(out, {ours: state[theirs] for theirs, ours in names.items()}, card)
    return card


def _convert_in_child(checkpoint: Path, plain: Path, seconds: float) -> None:
    command = [
        sys.executable,
        "-m",
        "napari_ssl_muscle.learning.network.reference_import",
        str(checkpoint.resolve()),
        str(plain),
    ]
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}
    try:
        child = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            cwd=plain.parent,
            env=environment,
            # On Windows: no console window that flashes up.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired as error:
        raise BadInput(
            f"Reading {checkpoint} took longer than {seconds:g} s and was given up; "
            "choose a checkpoint of the reference U-Net."
        ) from error
    if child.returncode == 0 and plain.is_file():
        return
    lines = child.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
    if child.returncode == _UNUSABLE_EXIT:
        raise _unusable(checkpoint, lines[-1])
    if child.returncode == 1:  # an error of this program or machine, such as too little memory
        raise RuntimeError(f"the process that reads {checkpoint} failed: {lines[-1]}")
    raise _unusable(checkpoint, "reading it ended the process that tried")


def _unusable(checkpoint: Path, why: str) -> BadInput:
    return BadInput(
        f"{checkpoint} is no checkpoint of the reference U-Net: {why}; choose another file."
    )


def _card(
    checkpoint: Path,
    out: Path,
    state: Mapping[str, Tensor],
    values: object,
    table: MuscleTable | None,
    title: str,
) -> ModelCard:
    """Read the network off the shapes of its first and last tensors and make the card."""
    first, last = state.get("inc.double_conv.0.weight"), state.get("outc.conv.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 4:
        raise _unusable(checkpoint, "it has no first or last convolution of that network")
    depth = 0
    while f"down{depth + 1}.maxpool_conv.1.double_conv.0.weight" in state:
        depth += 1
    classes = last.shape[0]
    if classes < 2:
        raise _unusable(checkpoint, "it has a single output, while models here have a background")
    if table is None:
        table = _numbered_table(classes, values)
    if len(table.muscles) != classes - 1:
        raise BadInput(
            f"{checkpoint} has {classes} classes, background included, but {len(table.muscles)} "
            f"muscles were named; name {classes - 1}."
        )
    try:
        return ModelCard(
            name=out.stem,
            title=title or "Imported from the reference U-Net",
            task="segmentation",
            network=NetworkSettings(
                width=first.shape[0],
                depth=depth,
                up="transposed" if "up1.up.weight" in state else "bilinear",
            ),
            # The reference takes whole images as they are.
            slices=SliceSettings(crop="none", spacing=None, size=None),
            in_channels=first.shape[1],
            channels=default_channels(first.shape[1]),
            muscles=table.to_rows(),
            versions=versions(),
            created=datetime.now(UTC).date().isoformat(),
            notes=[
                "Imported from a checkpoint of the reference U-Net program; what it was trained "
                "on is not known.",
                "That program scales images to 0..1, this one to zero mean and unit deviation: "
                "fine-tune the model before use.",
            ],
        )
    except ValidationError as error:
        raise _unusable(checkpoint, f"{error.errors()[0]['msg']} (width, depth)") from error


def _numbered_table(classes: int, values: object) -> MuscleTable:
    """Return a table of classes without names, by the masks' pixel values if they are usable."""
    numbers = list(range(1, classes))
    if isinstance(values, list) and len(values) == classes and values[0] == 0:
        rest = values[1:]
        whole = all(type(value) is int and 0 < value < 65536 for value in rest)
        if whole and len(set(rest)) == len(rest):
            numbers = rest
    return MuscleTable(
        tuple(Muscle(value, f"class {index}") for index, value in enumerate(numbers, start=1))
    )


def _check_tensors(
    checkpoint: Path, state: Mapping[str, Tensor], names: Mapping[str, str], card: ModelCard
) -> None:
    """Refuse anything but exactly the tensors that the network has."""
    shapes = expected_shapes(card)
    for theirs, ours in names.items():
        if theirs not in state:
            raise _unusable(checkpoint, f"{theirs} is missing")
        found = tuple(state[theirs].shape)
        if found != shapes[ours]:
            raise _unusable(checkpoint, f"{theirs} has shape {found} instead of {shapes[ours]}")
    if extra := [name for name in state if name not in names]:
        raise _unusable(checkpoint, f"{extra[0]} is unknown")


class _UnusableError(Exception):
    """Why a checkpoint cannot be used; the child process prints it for its parent."""


def _convert(checkpoint: Path, plain: Path) -> None:
    """Turn a pickled state dict into safetensors; runs in the child process."""
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _UnusableError("it holds other things than weights, or it is damaged") from error
    if not isinstance(content, dict):
        raise _UnusableError("it is no state dict")
    values: Any = content.pop(_VALUES, None)
    tensors = {}
    size = checkpoint.stat().st_size
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise _UnusableError("it holds other things than named weights")
        strange = tensor.layout != torch.strided or tensor.device.type != "cpu"
        if strange or tensor.is_quantized or tensor.is_complex():
            raise _UnusableError("its weights are not plain numbers")
        # A few bytes can claim to be a tensor of any size by repeating themselves.
        if tensor.numel() * tensor.element_size() > size:
            raise _UnusableError("its weights claim to be larger than the file")
        kind = torch.float32 if tensor.is_floating_point() else torch.int64
        tensors[name] = tensor.detach().to(kind, copy=True).contiguous()
    safetensors.torch.save_file(tensors, plain, {_VALUES: _json_or_null(values)})


def _json_or_null(values: Any) -> str:
    try:
        text = json.dumps(values)
    except (TypeError, ValueError, RecursionError):
        return "null"
    return text if len(text) < 10_000 else "null"


if __name__ == "__main__":
    try:
        _convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except _UnusableError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_UNUSABLE_EXIT)
