"""The U-Net: an encoder, a decoder and a head, of any width and depth.

Its form follows Ronneberger et al. (2015, arXiv:1505.04597) with the choices of the network that
the published study used: padded convolutions, batch normalisation, skips that are padded to fit,
and a 1×1 head. With one input, seven classes, width 64, depth 4 and transposed convolutions it
has 31,036,871 parameters, and its state dict holds the tensors in that network's order, so that
weights can be carried over one by one (`reference_import`).

Inputs may be `channels_last`; on a CPU that saves about a tenth of the time. It is not forced.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_ssl_muscle.learning.settings import NetworkSettings

Part = Literal["encoder", "decoder", "head"]
PARTS: tuple[Part, ...] = ("encoder", "decoder", "head")
"""The three parts that cover every parameter once; also the first word of each tensor's name."""


def _norm(kind: str, channels: int) -> nn.Module:
    """Return the normalisation layer of that name, with a learned scale and offset."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    # Eight groups, or as many as leave at least two channels in each: with one channel a group
    # would be instance normalisation under another name.
    groups = max(g for g in range(1, 9) if channels % g == 0 and channels // g >= 2)
    return nn.GroupNorm(groups, channels)


class TwoConvolutions(nn.Module):
    """Twice: 3×3 convolution without bias, normalisation, ReLU; the size stays."""

    def __init__(self, inputs: int, middle: int, outputs: int, norm: str) -> None:
        super().__init__()
        # The normalisation's offset takes the place of the convolution's bias.
        self.conv1 = nn.Conv2d(inputs, middle, 3, padding=1, bias=False)
        self.norm1 = _norm(norm, middle)
        self.conv2 = nn.Conv2d(middle, outputs, 3, padding=1, bias=False)
        self.norm2 = _norm(norm, outputs)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, inputs, y, x) to (n, outputs, y, x)."""
        image = F.relu(self.norm1(self.conv1(image)), inplace=True)
        return F.relu(self.norm2(self.conv2(image)), inplace=True)


class UpStep(nn.Module):
    """Double the size, join the skip of that level, convolve twice.

    `below`, `skip` and `outputs` are numbers of channels. "transposed" up-sampling halves those
    from below while it doubles the size; "bilinear" leaves them.
    """

    def __init__(self, below: int, skip: int, outputs: int, up: str, norm: str) -> None:
        super().__init__()
        self.up: nn.Module
        if up == "transposed":
            self.up = nn.ConvTranspose2d(below, below // 2, 2, stride=2)
            below, middle = below // 2, outputs
        else:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            middle = (below + skip) // 2
        self.convolutions = TwoConvolutions(skip + below, middle, outputs, norm)

    def forward(self, image: Tensor, skip: Tensor) -> Tensor:
        """Map (n, below, y, x) and the skip (n, skip, ~2y, ~2x) to the skip's size."""
        image = self.up(image)
        # Pooling drops an odd last row or column: pad with zeros, the odd one after the image.
        dy, dx = skip.shape[-2] - image.shape[-2], skip.shape[-1] - image.shape[-1]
        if dy or dx:
            image = F.pad(image, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2))
        return self.convolutions(torch.cat((skip, image), dim=1))  # type: ignore[no-any-return]


class UNet(nn.Module):
    """A U-Net for images of any size.

    Parameters
    ----------
    in_channels, classes
        Input and output channels; outputs are classes with the background first, or image channels
        for inpainting.
    width
        Channels of the first level; each level below has twice as many.
    depth
        Number of poolings, at least 1.
    up
        "transposed" (learned 2×2 transposed convolutions) or "bilinear" (aligned corners; the
        narrower decoder then has about half the parameters).
    norm
        "batch", "instance" (with learned scale and offset) or "group" (up to 8 groups).

    Attributes
    ----------
    encoder, decoder, head
        The three parts. The encoder has `depth + 1` levels: the bottleneck belongs to it, since
        it is the last thing that sees the image before the way back up, and what is transferred
        as "the encoder" elsewhere (nnssl, segmentation-models-pytorch) includes it. The decoder
        holds the up-sampling steps, the head the last 1×1 convolution.
    frozen
        Names of the parts that are frozen; `transfer.freeze` sets it.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        width: int = 64,
        depth: int = 4,
        up: Literal["transposed", "bilinear"] = "transposed",
        norm: Literal["batch", "instance", "group"] = "batch",
    ) -> None:
        super().__init__()
        if in_channels < 1 or classes < 1:
            raise ValueError("a U-Net needs at least one input channel and one output channel")
        self.in_channels = in_channels
        self.classes = classes
        # Checks the ranges of width and depth and the two names.
        self.network = NetworkSettings(width=width, depth=depth, up=up, norm=norm)
        self.frozen: frozenset[Part] = frozenset()

        channels = [width * 2**level for level in range(depth + 1)]
        # Bilinear up-sampling does not halve the channels, so each level passes up half of them.
        passed_up = [c if up == "transposed" or level == 0 else c // 2
                     for level, c in enumerate(channels)]  # fmt: skip
        encoder = [TwoConvolutions(in_channels, width, width, norm)]
        for level in range(1, depth + 1):
            out = passed_up[level] if level == depth else channels[level]
            encoder.append(TwoConvolutions(channels[level - 1], out, out, norm))
        decoder = [
            UpStep(passed_up[level + 1], channels[level], passed_up[level], up, norm)
            for level in reversed(range(depth))
        ]
        # In this order, which is also the order of the state dict.
        self.encoder = nn.ModuleList(encoder)
        self.decoder = nn.ModuleList(decoder)
        self.head = nn.Conv2d(width, classes, 1)

    @classmethod
    def from_settings(cls, network: NetworkSettings, in_channels: int, classes: int) -> UNet:
        """Build the network that the settings describe."""
        return cls(in_channels, classes, network.width, network.depth, network.up, network.norm)

    @property
    def smallest(self) -> int:
        """Least height and width in pixels; smaller images are padded with zeros in `forward`."""
        # Instance normalisation needs more than one pixel at the bottom.
        return int(2**self.network.depth) * (2 if self.network.norm == "instance" else 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (n, in_channels, y, x), of any y and x, to logits (n, classes, y, x)."""
        height, width = image.shape[-2:]
        missing_y, missing_x = max(0, self.smallest - height), max(0, self.smallest - width)
        if missing_y or missing_x:
            image = F.pad(image, (0, missing_x, 0, missing_y))
        skips: list[Tensor] = []
        for level, convolutions in enumerate(self.encoder):
            image = convolutions(F.max_pool2d(image, 2) if level else image)
            skips.append(image)
        skips.pop()
        for step in self.decoder:
            image = step(image, skips.pop())
        logits: Tensor = self.head(image)
        return logits[..., :height, :width]

    def part(self, name: Part) -> nn.Module:
        """Return the encoder, the decoder or the head by name."""
        return {"encoder": self.encoder, "decoder": self.decoder, "head": self.head}[name]

    def train(self, mode: bool = True) -> UNet:
        """Switch to training, but leave frozen parts as they are in use.

        A frozen part stays in evaluation mode whatever the training loop says: batch
        normalisation would otherwise go on averaging statistics that no gradient touches, and
        the frozen part would drift.
        """
        super().train(mode)
        for name in self.frozen:
            self.part(name).eval()
        return self


def parameter_count(module: nn.Module) -> int:
    """Return how many parameters a module has, frozen or not (buffers not counted)."""
    return sum(math.prod(parameter.shape) for parameter in module.parameters())
