"""Tables that tell left from right: the muscle is learned, and the leg gives its side."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.image_cache import read_channels
from napari_ssl_muscle.learning.data.muscle_classes import LEFT, RIGHT, MuscleClasses
from napari_ssl_muscle.learning.data.slices import Frame
from napari_ssl_muscle.learning.events import Event, Note, never_stop
from napari_ssl_muscle.learning.finetune import finetune
from napari_ssl_muscle.learning.leg_sides import lone_leg
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.learning.models.model_file import load_model
from napari_ssl_muscle.learning.predict import segment_volume
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.training.session import RunOptions
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable
from napari_ssl_muscle.scans.volume import open_label_map, save_label_map

OFFSET = 100
"""Between the label values of a muscle in the right leg and in the left one."""


@pytest.fixture(scope="module")
def sided_table(table: MuscleTable) -> MuscleTable:
    right = [Muscle(m.value, f"{m.name} right") for m in table.muscles]
    left = [Muscle(m.value + OFFSET, f"{m.name} left") for m in table.muscles]
    return MuscleTable((*right, *left))


def in_left_leg(case: TrainingCase) -> NDArray[np.bool_]:
    """The phantom's legs lie on either side of the middle; the patient's left is at larger x."""
    depth, rows, columns = case.scans[0].geometry.canonical_shape
    return np.broadcast_to(np.arange(columns) >= columns // 2, (depth, rows, columns))


@pytest.fixture(scope="module")
def sided_cases(
    cases: list[TrainingCase], sided_table: MuscleTable, tmp_path_factory: pytest.TempPathFactory
) -> list[TrainingCase]:
    folder = tmp_path_factory.mktemp("sided")
    found = []
    for case in cases:
        assert case.labels is not None
        values = case.labels.read().astype(np.uint8)
        values[(values > 0) & in_left_leg(case)] += OFFSET
        path = folder / f"{case.name}_dseg.nii.gz"
        save_label_map(path, values, case.scans[0].geometry, sided_table)
        found.append(replace(case, labels=open_label_map(path)))
    return found


def test_a_new_subject_gets_sides_by_its_legs(
    trained: Path,
    sided_cases: list[TrainingCase],
    sided_table: MuscleTable,
    table: MuscleTable,
    tiny: Recipe,
    tmp_path: Path,
) -> None:
    short = tiny.model_copy(update={"training": tiny.training.model_copy(update={"steps": 20})})
    events: list[Event] = []
    run = RunOptions(tmp_path, events.append, never_stop, str(trained))
    model = load_model(finetune(sided_cases[:2], sided_table, short, run).model)

    said = [event.text for event in events if isinstance(event, Note)]
    assert any("decoder and head start" in text for text in said)
    assert any("learned as one" in text for text in said)
    card = read_card(model.path)
    assert card.sides_from_leg
    assert (card.outputs, card.muscle_names) == (len(table.muscles) + 1, list(table.names))
    assert set(card.table.names) == set(sided_table.names)

    case = sided_cases[2]
    assert case.labels is not None
    truth = case.labels.read()
    geometry = case.scans[0].geometry
    found = segment_volume(model, read_channels(case), geometry.spacing, geometry=geometry)
    assert found.notes == []
    muscle = (found.labels > 0) & (truth > 0)
    assert np.array_equal((found.labels > OFFSET)[muscle], (truth > OFFSET)[muscle])
    merged = overlap(found.labels % OFFSET, truth % OFFSET)
    assert overlap(found.labels, truth) == merged > 0.4  # by chance it would be under 0.1


def overlap(one: NDArray[np.integer], other: NDArray[np.integer]) -> float:
    both = ((one == other) & (one > 0)).sum()
    return float(2 * both / ((one > 0).sum() + (other > 0).sum()))


def lone(x: float, *, looks_left: bool | None, names: tuple[str, ...]) -> tuple[int, str]:
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    affine[0, 3] = x - 50
    geometry = Geometry((100, 80, 10), affine)
    classes = MuscleClasses.for_training(
        MuscleTable(tuple(Muscle(i, name) for i, name in enumerate(names, 1)))
    )
    frame = Frame(slice(0, 80), slice(0, 100), (80, 100), slice(0, 100))
    return lone_leg(frame, geometry, looks_left, classes)


PAIR = ("gracilis left", "gracilis right")


@pytest.mark.parametrize(
    ("x", "looks_left", "names", "leg", "why"),
    [
        (-80, False, PAIR, LEFT, "scanner's centre"),
        (80, True, PAIR, RIGHT, "scanner's centre"),
        (0, True, PAIR, LEFT, "looks more like"),
        (0, None, PAIR, RIGHT, "nothing tells"),
        (80, False, PAIR[:1], LEFT, "knows no other"),
    ],
)
def test_a_leg_alone_gets_a_side_and_a_word_on_it(
    x: float, looks_left: bool | None, names: tuple[str, ...], leg: int, why: str
) -> None:
    found, sentence = lone(x, looks_left=looks_left, names=names)
    assert found == leg
    assert why in sentence
