"""From anatomy to water and fat: every tissue with its texture, softened at its surface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_ssl_muscle.synthesis.anatomy import Anatomy
from napari_ssl_muscle.synthesis.contrast import Palette, Signal
from napari_ssl_muscle.synthesis.settings import Floats, Mask
from napari_ssl_muscle.synthesis.texture import Texture

VESSELS_BETWEEN = ("sartorius", "vastus medialis", "adductor magnus")
NERVE_BETWEEN = ("biceps femoris long head", "semimembranosus", "adductor magnus")
"""Muscles around the femoral vessels and the sciatic nerve."""

PEAK = 2.6
"""Height of unit noise from which on there is a small vessel: half a percent of the tissue."""

HEALTHY = 0.35
"""Share of people without a muscle disease."""


@dataclass(frozen=True, eq=False)
class Composition:
    """How muscles are in one person.

    Attributes
    ----------
    fat
        Muscle → mean share of fat in it; 0 stands for muscles that are not labelled.
    tone
        Muscle → its water signal, relative to the mean muscle (oedema is brighter).
    rise
        Change of the fat share from the distal to the proximal end.
    """

    fat: Mapping[int, float]
    tone: Mapping[int, float]
    rise: float


def draw_composition(muscles: tuple[int, ...], random: np.random.Generator) -> Composition:
    """Draw fat shares: a few percent in health; in disease any, and some muscles replaced."""
    values = (0, *muscles)
    if random.random() < HEALTHY:
        fat = random.uniform(0.005, 0.07, len(values))
        tone = random.normal(1.0, 0.04, len(values))
    else:
        fat = random.beta(0.9, 1.0 + 4.0 * random.random(), len(values))
        replaced = random.random(len(values)) < random.uniform(0.0, 0.25)
        fat = np.where(replaced, random.uniform(0.8, 0.98, len(values)), 0.85 * fat)
        swollen = random.random(len(values)) < 0.1
        tone = random.normal(1.0, 0.07, len(values)) + swollen * random.uniform(0.1, 0.5)
    return Composition(
        fat=dict(zip(values, map(float, fat), strict=True)),
        tone=dict(zip(values, map(float, tone), strict=True)),
        rise=float(random.uniform(-0.5, 0.5)),
    )


class Canvas:
    """Water and fat signal (z, y, x), over which tissues are laid one after the other."""

    def __init__(self, shape: tuple[int, ...], ground: Signal) -> None:
        self.water = np.full(shape, ground[0], np.float32)
        self.fat = np.full(shape, ground[1], np.float32)

    def lay(
        self,
        share: NDArray[np.floating],
        signal: Signal,
        gain: NDArray[np.floating] | float = 1.0,
        where: Any = ...,
    ) -> None:
        """Cover a share of pixels with a tissue whose signal is multiplied by `gain`.

        `where` selects the pixels; all of them if it is not given.
        """
        for layer, level in ((self.water, signal[0]), (self.fat, signal[1])):
            layer[where] += share * (gain * level - layer[where])


def render(
    leg: Anatomy,
    person: Composition,
    palette: Palette,
    landmarks: Mapping[str, int],
    grid: tuple[float, float],
    levels: Floats,
    random: np.random.Generator,
) -> tuple[Floats, Floats, Floats]:
    """Draw one leg.

    Parameters
    ----------
    person
        How far each muscle is replaced by fat.
    landmarks
        Standard name of a muscle → its class index.
    grid
        Distance of slices and pixel in mm.
    levels
        (z,): 0 distal to 1 proximal.

    Returns
    -------
    water, fat, cover
        Signals (z, y, x), zero in air, and the share of every pixel that is leg.
    """
    dz, pixel = grid
    grain = Texture(leg.in_skin.shape, (dz, pixel, pixel), random)
    canvas = Canvas(leg.in_skin.shape, palette.fat)
    _fat(canvas, grain, palette)
    labelled = np.clip(sum(leg.muscles.values(), np.zeros_like(leg.in_skin)), 0.0, 1.0)
    other = _unlabelled(leg, labelled, levels, grain, pixel, random)
    for value, share in {0: other, **leg.muscles}.items():
        _muscle(canvas, value, share, person, palette, levels, grain)

    uneven = np.clip(0.7 + 0.5 * grain.noise(30.0, 9.0, 5.0), 0.0, 1.0)
    septa = random.uniform(0.0, 0.9) * _septa(leg.muscles, pixel)
    canvas.lay(septa * uneven, _mixed(palette, random.random()))
    width = random.uniform(0.4, 1.3) * (0.4 + uneven)
    canvas.lay(_line(leg.in_fascia, width, pixel), palette.fascia)
    _vessels_and_nerve(canvas, leg, labelled, palette, landmarks, pixel, random)
    canvas.lay(inside(leg.in_bone, pixel), palette.cortex)
    core = inside(leg.in_bone - leg.cortex[:, None, None], pixel)
    canvas.lay(core, palette.marrow, 1.0 + 0.06 * grain.noise(8.0, 1.6, 2.0))
    thick = np.float32(random.uniform(1.0, 2.4))
    cover = inside(leg.in_skin, pixel)
    canvas.lay(cover * inside(thick - leg.in_skin, pixel), palette.skin)
    return canvas.water * cover, canvas.fat * cover, cover


def inside(depth: Floats, pixel: float) -> Floats:
    """Share of every pixel that lies inside a surface at this distance (mm, positive inside)."""
    return np.asarray(np.clip(0.5 + depth / np.float32(pixel), 0.0, 1.0), np.float32)


def _fat(canvas: Canvas, grain: Texture, palette: Palette) -> None:
    """Fat: fine lobules, thin septa where noise crosses zero, small veins at its peaks."""
    lobes, sheets = grain.noise(9.0, 2.6), grain.noise(40.0, 5.0, 7.0)
    canvas.lay(np.ones((), np.float32), palette.fat, 1.0 + 0.05 * lobes)
    canvas.lay(0.3 * np.exp(-((sheets / 0.07) ** 2)), palette.fascia)
    canvas.lay(np.clip(2.0 * (lobes - PEAK), 0.0, 0.7), palette.vein)


def _muscle(
    canvas: Canvas, value: int, share: Floats, person: Composition, palette: Palette,
    levels: Floats, grain: Texture,
) -> None:  # fmt: skip
    """Lay one muscle over fat, which shows through in streaks and patches."""
    drawn: Mask = share > 0.01
    slant = float((0.9 + 1.7 * value) % np.pi)
    streaks = grain.noise(34.0, 1.8, float(value), slant=slant, where=drawn)
    patches = grain.noise(30.0, 9.0, 5.0, where=drawn)
    lobes = grain.noise(9.0, 2.6, where=drawn)
    rise = 1.0 + person.rise * (levels - 0.5)
    mean = person.fat[value] * np.broadcast_to(rise[:, None, None], share.shape)[drawn]
    fatty = _spread(np.clip(mean, 0.003, 0.98), 0.9 * patches + 0.8 * streaks + 0.4 * lobes)
    tone = person.tone[value] * (1.0 + 0.03 * patches + 0.03 * streaks)
    canvas.lay(share[drawn] * (1.0 - fatty), palette.muscle, tone, drawn)
    vessels = np.clip(2.0 * (grain.noise(45.0, 1.7, 3.0, where=drawn) - PEAK), 0.0, 0.8)
    canvas.lay(share[drawn] * vessels, palette.vein, 1.0, drawn)


def _mixed(palette: Palette, share: float) -> Signal:
    """Fascia with this share of fat: septa are dark lines in some scans, fatty ones in others."""
    water, fat = (
        (1 - share) * thin + share * plain
        for thin, plain in zip(palette.fascia, palette.fat, strict=True)
    )
    return water, fat


def _spread(mean: NDArray[np.floating], ragged: Floats) -> Floats:
    """Share of fat in every pixel: streaks and patches that on the whole make about the mean."""
    logit = np.log(mean / (1.0 - mean))
    return np.asarray(1.0 / (1.0 + np.exp(-(1.25 * logit + 1.1 * ragged))), np.float32)


def _septa(muscles: Mapping[int, Floats], pixel: float) -> Floats:
    """Share of the thin layers between muscles that touch: where two of them meet."""
    if not muscles:
        return np.zeros((), np.float32)
    stack = np.stack(list(muscles.values()))
    meeting = stack.sum(axis=0) ** 2 - (stack**2).sum(axis=0)  # 2 Σ pᵢ pⱼ, at most 1/2 for two
    return np.asarray(np.clip(2.0 * meeting, 0.0, 1.0) * min(1.0, 0.9 / pixel), np.float32)


def _unlabelled(
    leg: Anatomy, labelled: Floats, levels: Floats, grain: Texture, pixel: float,
    random: np.random.Generator,
) -> Floats:  # fmt: skip
    """Share of muscle that has no label: adductors and flexors between the others, and the glutei.

    Between labelled muscles it is what noise makes of the room, the more the nearer to the hip;
    behind the thigh's upper end a layer under the skin stands for the gluteus maximus.
    """
    bias = random.uniform(-0.6, 0.3) + random.uniform(0.2, 1.4) * (levels - 0.4)
    room = inside(leg.in_fascia - 1.5, pixel) * inside(-1.0 - leg.in_bone, pixel)
    blobs = grain.noise(40.0, 8.0, 11.0) + bias[:, None, None]
    share = room * np.clip(0.5 + 2.0 * blobs, 0.0, 1.0)
    if random.random() < 0.6:
        rows = np.arange(leg.in_fascia.shape[1], dtype=np.float32)[None, :, None]
        core = leg.in_fascia > 0
        middle = (core * rows).sum(axis=(1, 2)) / np.maximum(core.sum(axis=(1, 2)), 1)
        behind = np.clip((rows - middle[:, None, None]) / 12.0, 0.0, 1.0)
        reach = random.uniform(5.0, 30.0) * np.clip((levels - 0.75) / 0.25, 0.0, 1.0)
        gluteus = inside(leg.in_skin - 4.0, pixel) * inside(-leg.in_fascia, pixel) * behind
        near = inside(leg.in_fascia + reach[:, None, None].astype(np.float32), pixel)
        share = np.maximum(share, gluteus * near)
    return np.asarray(share * (1.0 - labelled), np.float32)


def _line(distance: Floats, width: NDArray[np.floating], pixel: float) -> Floats:
    """Share of every pixel that a thin sheet of this width (mm) covers."""
    whole = np.minimum(width / pixel, 1.0)
    covered = (0.5 * (width + pixel) - np.abs(distance)) / pixel
    return np.asarray(np.clip(covered, 0.0, whole), np.float32)


def _vessels_and_nerve(
    canvas: Canvas, leg: Anatomy, labelled: Floats, palette: Palette,
    landmarks: Mapping[str, int], pixel: float, random: np.random.Generator,
) -> None:  # fmt: skip
    """Femoral artery and vein, sciatic nerve, and the saphenous vein under the skin."""
    free = (labelled < 0.3) & (leg.in_fascia > 2.0) & (leg.in_bone < -2.0)
    drawn = [
        (VESSELS_BETWEEN, palette.artery, random.uniform(2.0, 4.2)),
        (VESSELS_BETWEEN, palette.vein, random.uniform(2.5, 5.5)),
        (NERVE_BETWEEN, palette.nerve, random.uniform(2.0, 5.0)),
    ]
    for names, signal, radius in drawn:
        values = [landmarks[name] for name in names if name in landmarks]
        aside = random.uniform(-5.0, 5.0, 2)
        for level, labels in enumerate(leg.labels):
            present = [value for value in values if (labels == value).any()]
            if present and len(present) >= min(2, len(values)):
                middles = [np.argwhere(labels == value).mean(axis=0) for value in present]
                wanted = np.mean(middles, axis=0) + aside / pixel
                _disc(canvas, level, free[level], wanted, radius, signal, pixel)
    under = (leg.in_fascia < -2.0) & (leg.in_skin > 3.0)
    place = np.array(leg.labels.shape[1:]) * random.uniform(0.2, 0.8, 2)
    radius = random.uniform(1.0, 2.2)
    for level in range(len(leg.labels)):
        _disc(canvas, level, under[level], place, radius, palette.vein, pixel)


def _disc(
    canvas: Canvas, level: int, free: NDArray[np.bool_], wanted: NDArray[np.float64],
    radius: float, signal: Signal, pixel: float,
) -> None:  # fmt: skip
    """Lay a disc of a radius in mm at the free place that is nearest to the wanted one (pixels)."""
    places = np.argwhere(free)
    if not places.size:
        return
    y, x = places[((places - wanted) ** 2).sum(axis=1).argmin()]
    rows, columns = np.ogrid[: free.shape[0], : free.shape[1]]
    depth = radius - np.hypot(rows - y, columns - x) * pixel
    room = ndimage.uniform_filter(free.astype(np.float32), 3)
    canvas.lay(inside(depth.astype(np.float32), pixel) * room, signal, 1.0, level)
