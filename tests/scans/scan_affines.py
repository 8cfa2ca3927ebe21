"""Affines to test with."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

ORIENTATIONS = [
    (axes, signs)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
SPACING = (0.7, 1.3, 5.0)


def affine_of(axes, signs, spacing=SPACING, origin=(-11.0, 20.0, 33.0)):
    affine = np.eye(4)
    affine[:3, :3] = 0
    for stored, (world, sign, size) in enumerate(zip(axes, signs, spacing, strict=True)):
        affine[world, stored] = sign * size
    affine[:3, 3] = origin
    return affine


def rotation(angles):
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i], turn[i, j], turn[j, i], turn[j, j] = c, -s, s, c
        matrix = turn @ matrix
    return matrix


def oblique_affines():
    """Any of the 48 orientations, turned by up to 45 degrees about each axis, any spacing."""

    def build(orientation, angles, spacing):
        affine = affine_of(*orientation, spacing)
        affine[:3, :3] = rotation(angles) @ affine[:3, :3]
        return affine

    return st.builds(
        build,
        st.sampled_from(ORIENTATIONS),
        st.tuples(*[st.floats(-0.8, 0.8)] * 3),
        st.tuples(*[st.floats(0.1, 30)] * 3),
    )
