from __future__ import annotations

import numpy as np
import pytest

from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomScan, PhantomSettings
from napari_ssl_muscle.synthesis.twins import Twins, find_twins, likeness, people, signature

CLASSES = range(1, 7)


def test_a_person_on_another_grid_is_found_and_another_person_is_not(thigh: PhantomScan) -> None:
    moved = np.roll(thigh.labels[1:, 4:], 3, axis=2)  # lies elsewhere, begins one slice higher
    other = phantom_scan(2, 1, PhantomSettings(slices=5, size=96, seed=5))
    maps = [signature(labels, thigh.spacing) for labels in (thigh.labels, other.labels, moved)]
    assert likeness(maps[0], maps[2], CLASSES) > 0.9
    found = find_twins(maps, CLASSES, dice=0.85)
    assert [(pair.first, pair.second) for pair in found] == [(0, 2)]


def test_one_leg_is_found_in_a_map_of_both(thigh: PhantomScan) -> None:
    alone = thigh.labels.copy()
    alone[:, :, : alone.shape[2] // 2] = 0
    both, one = (signature(labels, thigh.spacing) for labels in (thigh.labels, alone))
    assert len(one.legs) == 1
    assert likeness(one, both, CLASSES) == pytest.approx(likeness(both, one, CLASSES))
    assert likeness(one, both, CLASSES) > 0.9


def test_maps_of_one_person_are_joined_over_several_pairs() -> None:
    assert people(5, [Twins(1, 3, 0.9), Twins(3, 4, 0.8)]) == [0, 1, 2, 1, 1]
