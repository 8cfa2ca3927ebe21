"""Where to compute, with how many threads, and in which precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.settings import TrainingSettings
from napari_ssl_muscle.text_table import counted


def choose_device(wanted: str = "auto") -> torch.device:
    """Return the device: "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises
    ------
    BadInput
        If a device is asked for by name and PyTorch cannot use it here.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available.get(wanted, False):
        raise BadInput(f"PyTorch finds no device '{wanted}' here; choose --device cpu or auto.")
    return torch.device(wanted)


def describe(device: torch.device) -> str:
    """Describe the device: "CPU, 2 threads" or the GPU's name."""
    if device.type == "cuda":
        return f"GPU, {torch.cuda.get_device_name(device)}"
    if device.type == "mps":
        return "GPU, Apple Metal"
    count = torch.get_num_threads()
    return f"CPU, {counted(count, 'thread')}"


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Compute with `count` CPU threads (None: as it is) and put the old number back."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def autocast(
    device: torch.device, settings: TrainingSettings
) -> contextlib.AbstractContextManager[object]:
    """Return the mixed-precision context for a training step.

    bfloat16 on a GPU or a processor that computes in it, else float32: a processor that has to
    emulate it is 25 times slower than without, one that has it is about 1.5 times faster.
    """
    if settings.mixed_precision and _has_bfloat16(device):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Not public in PyTorch 2.13; where they are missing the answer is the safe one.
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in checks)
    return False
