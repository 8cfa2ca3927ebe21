"""What every training shares: reading scans, first weights that depend on the seed, the card."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.events import Event, StoppedByUser, never_stop
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.training.session import RunOptions, TrainingSession
from napari_ssl_muscle.scans.volume import open_scan


@pytest.fixture
def broken(tmp_path: Path) -> TrainingCase:
    """A scan whose header can be read and whose voxels cannot."""
    path = tmp_path / "broken.nii"
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)), path)
    scan = open_scan(path)
    path.write_bytes(path.read_bytes()[:400])
    return TrainingCase("broken", "somebody", (scan,))


def test_a_scan_that_cannot_be_read_is_left_out_only_where_that_is_asked_for(
    cases: list[TrainingCase], broken: TrainingCase, tiny: Recipe, tmp_path: Path
) -> None:
    events: list[Event] = []
    run = RunOptions(tmp_path, events.append, never_stop)
    with TrainingSession(tiny, run) as session:
        read = session.read([broken, cases[0]], skip_unreadable=True)
        assert [(case.name, series) for case, series in read] == [("case-1", [0, 1])]
        assert session.notes[0].endswith("It is left out.")
        with pytest.raises(BadInput):
            session.read([broken], skip_unreadable=True)
        with pytest.raises(BadInput):
            session.read([broken, cases[0]])
    assert [event.kind for event in events[:3]] == ["progress", "note", "progress"]
    run = replace(run, stop=lambda: True)
    with TrainingSession(tiny, run) as session, pytest.raises(StoppedByUser):
        session.read(cases)


def test_the_first_weights_depend_on_the_seed_alone(tiny: Recipe, tmp_path: Path) -> None:
    run = RunOptions(tmp_path, lambda event: None, never_stop)
    other = tiny.model_copy(update={"training": tiny.training.model_copy(update={"seed": 1})})
    weights = []
    for recipe in (tiny, tiny, other):
        torch.rand(1)
        weights.append(TrainingSession(recipe, run).build(1, 2).head.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_card_takes_the_name_that_is_given_or_the_folders(
    cases: list[TrainingCase], tiny: Recipe, tmp_path: Path
) -> None:
    fields = {"task": "inpainting", "in_channels": 1, "channels": ["image"]}
    for name, expected in (("mine", "mine"), (None, tmp_path.name)):
        run = RunOptions(tmp_path, lambda event: None, never_stop, name=name)
        with TrainingSession(tiny, run) as session:
            session.read(cases[:1])
            card = session.card(cases[:1], **fields)
        assert card.name == expected
        assert card.recipe == tiny
        spacing = cases[0].scans[0].geometry.spacing
        assert card.spacing == pytest.approx(spacing, abs=1e-4)
        assert len(card.contrast_profiles) == 1
