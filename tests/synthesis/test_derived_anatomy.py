from __future__ import annotations

import numpy as np
import pytest

from napari_ssl_muscle.phantom.random_fields import generator
from napari_ssl_muscle.phantom.settings import PhantomScan
from napari_ssl_muscle.synthesis.anatomy import Anatomy, derive, fascia
from napari_ssl_muscle.synthesis.pose import place

VASTI = (1, 2, 3)


@pytest.fixture(scope="module", params=range(2))
def leg(thigh: PhantomScan, request: pytest.FixtureRequest) -> Anatomy:
    random = generator(request.param)
    placement = place(thigh.labels, thigh.spacing, "one", random)
    return derive(placement.legs[0], placement, VASTI, random, behind=False)


def test_muscles_lie_within_fascia_and_skin_and_beside_the_bone(leg: Anatomy) -> None:
    muscle = leg.labels > 0
    assert (leg.in_fascia[muscle] > 0).all()
    assert (leg.in_bone[muscle] <= 0).all()
    assert np.mean(leg.in_skin[muscle] > 0) > 0.999
    assert (leg.in_skin[leg.in_fascia > 0] > 0).mean() > 0.98


def test_the_vasti_surround_the_femur(leg: Anatomy) -> None:
    bone = leg.in_bone > 0
    assert bone.any(axis=(1, 2)).all()
    for section, labels in zip(bone, leg.labels, strict=True):
        y, x = np.argwhere(section).mean(axis=0)
        rows, columns = np.nonzero(np.isin(labels, VASTI))
        assert rows.min() < y < rows.max()
        assert columns.min() < x < columns.max()


def test_fascia_fills_the_gaps_between_muscles_but_not_the_world() -> None:
    muscle = np.zeros((1, 120, 120), bool)
    muscle[0, 40:80, 30:50] = muscle[0, 40:80, 70:90] = True
    depth = fascia(muscle, 24.0, 1.0)
    assert depth[0, 60, 60] > 0  # between the two
    assert depth[0, 60, 110] < 0
    np.testing.assert_array_equal(depth[0][muscle[0]] > 0, True)
