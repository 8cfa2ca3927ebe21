"""Where things lie in a thigh: drawn by hand at six levels of a standard leg, in millimetres.

The frame belongs to the leg: u runs to the side away from the other leg (lateral), v to the front
(anterior), the origin is the middle of the compartment inside the fascia lata. Six levels run
from just above the patella (0) to just below the hip (1); between them a monotone spline
interpolates. A muscle's cross-section is a chain of discs (u, v, radius): everything that is
nearer to this chain than to any other belongs to the muscle, so that the muscles fill the
compartment as they do in a leg. A radius below zero lets the muscle end between two levels.

The positions follow textbook anatomy of axial thigh sections; no scan was traced.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LENGTH: Final = 320.0
"""Length of the standard thigh in mm, from level 0 to level 1."""
LEVELS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

Disc = tuple[float, float, float]
"""Centre u, v and radius in mm."""


class Part(NamedTuple):
    """One muscle or bundle: its chain of discs at every level, and how it is packed."""

    name: str
    chain: tuple[tuple[Disc, ...], ...]
    """For each of `LEVELS` the same number of discs."""
    sheath: float
    """Thickness in mm of the fat between it and a neighbour of the same kind."""
    around_bone: bool = False
    """Whether its fibres fan out from the femur (the vasti) or run along its own section."""


# fmt: off
MUSCLES: Final[tuple[Part, ...]] = (
    Part("vastus lateralis", (
        ((44, 2, 5), (40, 18, 7), (30, 32, 5)),
        ((49, -4, 9), (46, 20, 12), (30, 42, 8)),
        ((54, -10, 12), (53, 18, 17), (36, 46, 12)),
        ((58, -12, 13), (59, 14, 20), (42, 46, 14)),
        ((62, -10, 13), (61, 16, 20), (47, 42, 12)),
        ((66, -2, 11), (62, 18, 15), (54, 34, 8)),
    ), 1.1, True),
    Part("vastus intermedius", (
        ((26, 10, 2), (14, 30, 5), (-8, 31, 4)),
        ((25, 0, 6), (22, 26, 8), (-1, 34, 7)),
        ((27, -6, 8), (25, 24, 10), (0, 34, 8)),
        ((31, -6, 9), (29, 22, 11), (4, 32, 8)),
        ((34, -4, 8), (32, 20, 11), (12, 29, 8)),
        ((37, 2, 5), (35, 18, 8), (22, 24, 6)),
    ), 0.8, True),
    Part("vastus medialis", (
        ((-36, -6, 9), (-36, 16, 13), (-20, 36, 8)),
        ((-36, -2, 11), (-38, 20, 16), (-18, 42, 11)),
        ((-21, 5, 6), (-31, 27, 14), (-14, 45, 9)),
        ((-12, 6, 4), (-21, 26, 10), (-12, 42, 8)),
        ((-3, 10, 3), (-9, 24, 6), (-4, 36, 6)),
        ((2, 8, -3), (0, 20, -2), (4, 28, -2)),
    ), 1.1, True),
    Part("rectus femoris", (
        ((6, 46, -4), (2, 46, -4)),
        ((12, 52, 3), (4, 52, 3)),
        ((16, 56, 8), (3, 57, 8)),
        ((20, 58, 11), (4, 58, 10)),
        ((28, 55, 12), (12, 55, 12)),
        ((38, 50, 10), (26, 52, 11)),
    ), 1.8),
    Part("sartorius", (
        ((-42, -14, 6), (-40, -27, 7)),
        ((-51, -4, 7), (-51, -17, 7)),
        ((-53, 20, 8), (-55, 6, 7)),
        ((-39, 44, 8), (-49, 34, 8)),
        ((-19, 60, 8), (-31, 54, 8)),
        ((10, 66, 8), (-4, 64, 9)),
    ), 1.9),
    Part("gracilis", (
        ((-33, -35, 4), (-30, -39, 4)),
        ((-46, -36, 5), (-49, -29, 6)),
        ((-55, -29, 6), (-58, -14, 7)),
        ((-60, -26, 7), (-64, -4, 7)),
        ((-64, -20, 6), (-68, 6, 7)),
        ((-67, -8, 5), (-69, 18, 6)),
    ), 1.9),
    Part("adductor magnus", (
        ((-18, -10, -4), (-24, -12, -4), (-28, -12, -4)),
        ((-20, -14, 2), (-26, -16, 3), (-32, -16, 2)),
        ((-14, -10, 6), (-34, -14, 10), (-46, -20, 8)),
        ((-8, -14, 9), (-36, -20, 14), (-50, -30, 10)),
        ((0, -18, 9), (-32, -26, 16), (-52, -34, 12)),
        ((6, -22, 8), (-28, -30, 16), (-54, -32, 13)),
    ), 1.5),
    Part("adductor longus", (
        ((-26, 4, -6), (-30, 4, -6)),
        ((-26, 4, -5), (-30, 4, -5)),
        ((-26, 0, 2), (-38, 2, 3)),
        ((-22, 10, 6), (-46, 14, 9)),
        ((-20, 20, 7), (-48, 30, 11)),
        ((-22, 30, 8), (-46, 40, 11)),
    ), 1.6),
    Part("adductor brevis", (
        ((-20, 0, -8), (-40, 0, -8)),
        ((-20, 0, -8), (-40, 0, -8)),
        ((-20, 0, -6), (-40, 0, -6)),
        ((-14, 0, 1), (-40, 0, 1)),
        ((-10, 2, 7), (-42, 6, 10)),
        ((-8, 6, 8), (-46, 12, 12)),
    ), 1.4),
    Part("biceps femoris, long head", (
        ((34, -32, 5), (28, -37, 5)),
        ((34, -40, 9), (26, -45, 8)),
        ((30, -46, 12), (18, -53, 10)),
        ((22, -52, 12), (10, -58, 10)),
        ((10, -56, 9), (2, -60, 8)),
        ((-2, -58, 5), (-8, -60, 5)),
    ), 1.6),
    Part("biceps femoris, short head", (
        ((36, -16, 8), (38, -26, 8)),
        ((30, -16, 7), (42, -24, 8)),
        ((24, -18, 4), (38, -26, 5)),
        ((24, -20, 1), (34, -26, 1)),
        ((24, -20, -5), (34, -26, -5)),
        ((24, -20, -8), (34, -26, -8)),
    ), 1.5),
    Part("semitendinosus", (
        ((-16, -42, 3), (-20, -41, 3)),
        ((-8, -50, 6), (-15, -50, 6)),
        ((2, -56, 9), (-8, -57, 8)),
        ((-4, -60, 10), (-14, -60, 9)),
        ((-12, -60, 10), (-22, -58, 9)),
        ((-18, -60, 7), (-26, -58, 7)),
    ), 1.6),
    Part("semimembranosus", (
        ((-14, -28, 8), (-24, -34, 9)),
        ((-20, -32, 12), (-34, -44, 9)),
        ((-22, -40, 10), (-36, -50, 9)),
        ((-24, -46, 6), (-38, -52, 6)),
        ((-26, -46, 1), (-38, -52, 1)),
        ((-26, -46, -6), (-38, -52, -6)),
    ), 1.6),
    Part("gluteus maximus", (
        ((20, -56, -8), (44, -40, -8), (60, -24, -8)),
        ((20, -56, -8), (44, -40, -8), (60, -24, -8)),
        ((24, -54, -8), (46, -38, -8), (60, -22, -8)),
        ((26, -52, -5), (48, -36, -3), (60, -22, -4)),
        ((28, -52, 5), (48, -38, 10), (62, -28, 5)),
        ((20, -54, 10), (46, -42, 15), (62, -28, 9)),
    ), 1.6),
    Part("tensor fasciae latae", (
        ((54, 40, -8), (48, 48, -8)),
        ((54, 40, -8), (48, 48, -8)),
        ((54, 40, -8), (48, 48, -8)),
        ((56, 40, -6), (50, 48, -6)),
        ((58, 42, 0), (52, 48, 0)),
        ((62, 42, 5), (54, 50, 5)),
    ), 1.8),
)

LABELLED: Final = 6
"""The first six muscles carry the label values 1 to 6, the order of the default thigh table."""

# Room that is kept free of muscle: fat with vessels or a nerve in it.
BUNDLES: Final[tuple[Part, ...]] = (
    Part("femoral vessels", (
        ((-4, -24, 11), (4, -24, 9)),
        ((-10, -14, 6), (-4, -18, 6)),
        ((-31, 5, 7), (-28, 7, 6)),
        ((-31, 25, 7), (-27, 28, 6)),
        ((-20, 42, 6), (-15, 39, 6)),
        ((-8, 50, 7), (0, 47, 7)),
    ), 0.0),
    Part("sciatic nerve", (
        ((2, -36, 7), (8, -34, 6)),
        ((4, -32, 6), (8, -30, 4)),
        ((6, -34, 4), (10, -33, 3)),
        ((10, -38, 4), (14, -37, 3)),
        ((14, -40, 4), (18, -39, 3)),
        ((18, -38, 5), (24, -36, 4)),
    ), 0.0),
)

# Femur: centre u, v, half-axes in u and v, thickness of the cortical bone (mm).
FEMUR: Final = (
    (0.0, 8.0, 22.0, 18.0, 2.2),
    (3.0, 11.0, 15.5, 15.0, 4.2),
    (6.0, 10.0, 13.5, 14.0, 5.8),
    (10.0, 8.0, 13.5, 13.5, 6.4),
    (14.0, 6.0, 14.0, 13.8, 6.0),
    (19.0, 4.0, 16.0, 15.0, 4.8),
)

# Fascia lata: half-width, half-depth of the compartment (mm).
FASCIA: Final = (
    (49.0, 46.0), (57.0, 57.0), (65.0, 66.0), (71.0, 71.0), (75.0, 74.0), (78.0, 75.0),
)

# Subcutaneous fat in units of the subject's thickness: lateral, front, medial, back.
SUBCUTANEOUS: Final = (
    (0.55, 0.45, 0.95, 0.75), (0.65, 0.55, 1.00, 0.85), (0.80, 0.75, 1.05, 0.95),
    (1.00, 0.85, 1.15, 1.05), (1.25, 0.90, 1.20, 1.20), (1.50, 0.95, 1.15, 1.45),
)

# Fat between muscles takes over where no muscle's chain is nearer than this (mm).
REACH: Final = (3.0, 4.5, 6.0, 7.0, 7.0, 7.0)

# Vessels and nerve as single discs.
ARTERY: Final = (
    (-2, -24, 3.6), (-7, -17, 3.3), (-28, 7, 3.2), (-27, 28, 3.4), (-20, 42, 3.6), (-8, 50, 4.0),
)
VEIN: Final = (
    (4, -27, 4.0), (-9, -12, 3.8), (-31, 4, 3.6), (-31, 25, 3.8), (-15, 39, 4.2), (0, 47, 5.0),
)
DEEP_ARTERY: Final = (
    (0, -12, 0.2), (2, -10, 0.6), (-4, -5, 1.2), (-10, 2, 1.8), (-14, 14, 2.2), (-10, 26, 2.6),
)
NERVE: Final = (
    (5, -36, 3.2), (6, -31, 3.8), (8, -33, 4.2), (12, -37, 4.4), (16, -39, 4.6), (21, -37, 5.0),
)
TENDON: Final = (
    (2, 41, 3.4), (5, 50, 1.6), (10, 52, -0.5), (12, 52, -2.0), (16, 52, -2.0), (30, 50, -2.0),
)
"""Quadriceps tendon, which the rectus femoris turns into."""
# fmt: on
