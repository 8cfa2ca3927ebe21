"""The settings of learning, as data: network, slices, augmentation, training; and the presets.

One settings object serves the shell's options, the window's forms, `job.json` and the model card.
Nothing here imports torch, so that forms open at once.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FreezeMode = Literal["none", "encoder", "decoder", "both"]
Preset = Literal["recommended", "quick", "poster"]
Device = Literal["auto", "cpu", "cuda", "mps"]


class Settings(BaseModel):
    """Base of all settings: unknown names are refused, values are checked and never change."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, frozen=True)


class NetworkSettings(Settings):
    """The U-Net's shape. Defaults give the reference network (31,036,871 weights for 1 → 7)."""

    width: int = Field(64, ge=4, le=512, description="Channels of the first level.")
    depth: int = Field(4, ge=1, le=7, description="Number of poolings.")
    up: Literal["transposed", "bilinear"] = Field(
        "transposed", description="Up-sampling: learned transposed convolution, or bilinear."
    )
    norm: Literal["batch", "instance", "group"] = Field("batch", description="Normalisation layer.")


class SliceSettings(Settings):
    """How a volume becomes images for the network, and how the way back is found."""

    crop: Literal["leg", "body", "none"] = Field(
        "leg", description="Cut to each leg, to the whole body, or not at all."
    )
    spacing: float | None = Field(
        2.0, gt=0, description="In-plane pixel size in mm to resample to; none keeps the scan's."
    )
    size: int | None = Field(
        None, ge=32, description="Training images are cut or padded to this many pixels square."
    )
    margin: float = Field(8.0, ge=0, description="Margin in mm around the crop.")
    mirror: bool = Field(
        True, description="Mirror left legs, so that every leg looks like a right one."
    )


class AugmentSettings(Settings):
    """Random changes of training images; all zero switches augmentation off (as published)."""

    rotate: float = Field(10.0, ge=0, le=180, description="Largest rotation in degrees.")
    scale: float = Field(0.1, ge=0, lt=1, description="Largest relative change of size.")
    shift: float = Field(0.04, ge=0, lt=1, description="Largest shift as a share of the image.")
    flip: bool = Field(False, description="Mirror left and right at random.")
    bend: float = Field(2.0, ge=0, description="Largest elastic displacement in pixels.")
    contrast: float = Field(0.2, ge=0, description="Strength of gamma, gain and bias changes.")
    noise: float = Field(0.1, ge=0, description="Largest noise in standard deviations.")
    blur: float = Field(0.3, ge=0, description="Largest blur in pixels.")

    @classmethod
    def off(cls) -> AugmentSettings:
        """No augmentation at all."""
        return cls(rotate=0, scale=0, shift=0, flip=False, bend=0, contrast=0, noise=0, blur=0)


class TrainingSettings(Settings):
    """One training: optimiser, schedule, length, seeds. The loop reads nothing else.

    Sources of the defaults that decide whether a training succeeds (docs/results.md, "Seeds"):

    - `balance` 1: at 0.5 the first steps push a thin muscle down three times as hard as they pull
      it up, so that half of the phantom's muscles are not found within a hundred steps; at 2 and 4
      they are found soonest, and a training that runs its length ends no better.
    - `warmup` 0.3: better than 0.05 on the phantom, above all in the muscle that is found last.
      Adam's second moments remember a thousand steps, more than a short training has; Ma and Yarats
      (2019, arXiv:1910.04209) ask for a rise of 2 / (1 - beta2) steps.
    """

    epochs: int | None = Field(None, ge=1, description="Length in epochs.")
    steps: int | None = Field(None, ge=1, description="Length in steps.")
    minutes: float | None = Field(
        None, gt=0, description="Length in minutes; turned into steps by timing the first ones."
    )
    optimizer: Literal["adamw", "adam", "rmsprop"] = Field("adamw", description="Optimiser.")
    lr: float = Field(6e-3, gt=0, description="(Peak) learning rate.")
    momentum: float = Field(
        0.9, ge=0, lt=1, description="RMSprop's momentum; for Adam and AdamW it is beta1."
    )
    weight_decay: float = Field(1e-2, ge=0, description="Weight decay.")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="Learning-rate schedule.")
    warmup: float = Field(0.3, ge=0, lt=1, description="Share of the steps with a rising rate.")
    clip: float | None = Field(1.0, gt=0, description="Largest gradient norm; none for no limit.")
    batch: int = Field(8, ge=1, description="Images in a step.")
    loss: Literal["balanced", "dice_ce", "ce"] = Field(
        "balanced",
        description="'dice_ce' is Dice plus cross-entropy; 'ce' the published cross-entropy "
        "averaged per class; 'balanced' Dice plus both.",
    )
    balance: float = Field(
        1.0, ge=0, description="Weight of the cross-entropy averaged per class in 'balanced'."
    )
    validate_every: int = Field(
        100, ge=1, description="Steps between validations at the least (never within an epoch)."
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after so many validations without a better one."
    )
    average: float = Field(
        0.0, ge=0, lt=1, description="Decay of the moving average of the weights; 0 for none."
    )
    decoder_first: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the steps in which the encoder is kept fixed, before all learns.",
    )
    seed: int = Field(0, ge=0, description="Seed of everything random.")
    threads: int | None = Field(
        None, ge=1, description="CPU threads; other numbers change the last bits of the weights."
    )
    device: Device = Field("auto", description="Where to compute.")
    mixed_precision: bool = Field(
        True, description="Half precision where the device is good at it."
    )


class PretextSettings(Settings):
    """What is taken from an image in pretraining, and how the restored image is scored.

    75 % in squares, scored inside them, is what helped de Mooij et al. (2024, arXiv:2409.18100).
    Squares of 24 pixels of 2 to 2.5 mm are the smallest (of 16, 24, 32) from which a masked pixel
    of a leg is as far from the visible ones, for the image's size, as SimMIM found best.
    """

    corruption: Literal["squares", "swapped", "noise"] = Field(
        "squares",
        description="What is done to the image: masked squares, squares swapped in pairs, or "
        "added noise.",
    )
    mask_percent: float = Field(
        75.0,
        gt=0,
        le=100,
        description="Share of the image (or body) that is masked or swapped, in percent.",
    )
    kernel_size: int = Field(24, ge=1, description="Side of the squares in pixels.")
    exact: bool = Field(False, description="Clip the last square to meet the share exactly.")
    inside_body: bool = Field(True, description="Mask only tissue; the share is of the body.")
    mask_channel: bool = Field(True, description="Tell the network where the holes are.")
    scored: Literal["masked", "image"] = Field(
        "masked", description="Pixels that count in the error: masked ones, or the whole image."
    )
    fill: float | None = Field(
        0.0, description="Value of masked pixels in standard deviations; none for the darkest."
    )
    noise: float = Field(0.5, gt=0, description="Noise in standard deviations ('noise' only).")


class Recipe(Settings):
    """Everything that a preset decides."""

    network: NetworkSettings = NetworkSettings()
    slices: SliceSettings = SliceSettings()
    augment: AugmentSettings = AugmentSettings()
    training: TrainingSettings = TrainingSettings()
    pretext: PretextSettings = PretextSettings()


PRESETS: dict[str, Recipe] = {}
"""Name → recipe; see `preset`. Filled below."""


def preset(name: str) -> Recipe:
    """Return a preset's recipe; a `KeyError` if there is none of that name."""
    return PRESETS[name]


# The study as published: whole images, no augmentation, the parameters that its experiments 0
# and 4 found best. The reference loop clips at 1.0 and decays by 1e-8.
PRESETS["poster"] = Recipe(
    network=NetworkSettings(width=64, depth=4),
    slices=SliceSettings(crop="none", spacing=None, size=None, mirror=False),
    augment=AugmentSettings.off(),
    training=TrainingSettings(
        optimizer="rmsprop",
        lr=1e-5,
        momentum=0.9,
        weight_decay=1e-8,
        schedule="constant",
        warmup=0,
        clip=1.0,
        batch=5,
        loss="ce",
        epochs=50,
        mixed_precision=False,
    ),
    pretext=PretextSettings(
        mask_percent=10, kernel_size=16, inside_body=False, mask_channel=False, scored="image"
    ),
)

# For a laptop without a GPU and for tests: a small network on coarse leg images, and as many steps
# as one core does in two minutes (docs/results.md, "Seeds"). Optimiser, loss and schedule are the
# defaults of `TrainingSettings`, masks those of `PretextSettings`, with their sources there.
PRESETS["quick"] = Recipe(
    network=NetworkSettings(width=8, depth=4),
    slices=SliceSettings(crop="leg", spacing=2.5, size=96),
    training=TrainingSettings(steps=400, batch=8),
)

# Twice as wide, on finer images, and longer, for real scans; the rest as above. Width and length
# are provisional until the experiments are evaluated.
PRESETS["recommended"] = Recipe(
    network=NetworkSettings(width=16, depth=4),
    slices=SliceSettings(crop="leg", spacing=2.0, size=112),
    training=TrainingSettings(steps=1500, batch=8),
)
