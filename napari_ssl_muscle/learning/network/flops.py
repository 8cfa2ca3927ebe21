"""How much arithmetic a U-Net takes, without building it (and without importing torch)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from napari_ssl_muscle.learning.settings import FreezeMode, NetworkSettings

FROZEN: dict[FreezeMode, frozenset[Literal["encoder", "decoder", "head"]]] = {
    "none": frozenset(),
    "encoder": frozenset({"encoder"}),
    "decoder": frozenset({"decoder"}),
    "both": frozenset({"encoder", "decoder"}),
}
"""Freeze mode → parts of the network that do not learn."""


@dataclass(frozen=True)
class Flops:
    """Arithmetic of one image's way through the network, in GFLOP (10⁹ additions or products).

    Convolutions only; all the rest is under a hundredth of it. The head counts as decoder.
    """

    encoder: float
    decoder: float

    @property
    def forward(self) -> float:
        """What a prediction takes."""
        return self.encoder + self.decoder

    def training(self, frozen: Collection[str] = ()) -> float:
        """Return what a training step takes for this image.

        Back-propagation costs as much again for the gradients of each layer's weights, and once
        more for those of its input; neither is computed where it is not needed.
        """
        encoder, decoder = "encoder" not in frozen, "decoder" not in frozen
        return self.encoder * (1 + 2 * encoder) + self.decoder * (
            1 + decoder + (encoder or decoder)
        )


def flops_of(
    network: NetworkSettings, rows: int, columns: int, channels: int = 1, classes: int = 7
) -> Flops:
    """Count the arithmetic of one image of so many pixels and input channels."""
    bilinear, depth = network.up == "bilinear", network.depth
    widths = [network.width * 2**level for level in range(depth + 1)]
    passed_up = [w // 2 if bilinear and level else w for level, w in enumerate(widths)]
    pixels: list[int] = [(rows // 2**level) * (columns // 2**level) for level in range(depth + 1)]

    def convolve(level: int, *through: int) -> float:
        products = sum(before * after for before, after in pairwise(through))
        return 2.0 * 9 * pixels[level] * products

    encoder = convolve(0, channels, widths[0], widths[0])
    for level in range(1, depth + 1):
        out = passed_up[level] if level == depth else widths[level]
        encoder += convolve(level, widths[level - 1], out, out)
    decoder = 2.0 * pixels[0] * widths[0] * classes
    for level in range(depth):
        below, skip, out = passed_up[level + 1], widths[level], passed_up[level]
        if bilinear:
            decoder += convolve(level, below + skip, (below + skip) // 2, out)
        else:
            # Each pixel of the doubled image is made by one of the four weights.
            decoder += 2 * pixels[level] * below * (below // 2)
            decoder += convolve(level, below // 2 + skip, out, out)
    return Flops(encoder / 1e9, decoder / 1e9)
