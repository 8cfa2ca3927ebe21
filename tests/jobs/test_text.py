"""What the shell and the window say of a model, a scan or a number of things."""

from __future__ import annotations

from napari_ssl_muscle.jobs.text import format_card
from napari_ssl_muscle.learning.models.card import ModelCard, TrainingSource
from napari_ssl_muscle.learning.settings import NetworkSettings, SliceSettings
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.text_table import counted, times


def test_a_card_names_everything_that_is_known_of_a_model() -> None:
    table = default_table("thigh")
    card = ModelCard(
        name="one",
        title="A thigh model",
        task="segmentation",
        network=NetworkSettings(width=8, depth=2),
        slices=SliceSettings(),
        in_channels=1,
        channels=["T1w"],
        contrast="water image",
        spacing=(24.0, 0.75, 0.5),
        muscles=table.to_rows(),
        dice={"mean": 0.87, table.names[0]: 0.79},
        dice_note="On two subjects.",
        transductive=True,
        training_data=[TrainingSource(name="cohort", subjects=1, slices=40, licence="CC0")],
        notes=["Beware."],
    )
    rows = dict(format_card(card))
    assert rows["Muscles and their Dice"].startswith(f"{table.names[0]} 0.79, {table.names[1]}")
    assert rows["Dice"] == "0.87 on average. On two subjects."
    assert rows["Made for"] == "water image; T1w; voxels of 0.5 × 0.75 × 24 mm"
    assert rows["Learned from"] == "cohort: 1 subject, 40 slices (CC0)"
    assert [*rows][-1] == "Note"
    assert {"Title", "Transductive", "Network"} <= set(rows)


def test_numbers_of_things_and_sizes() -> None:
    assert (counted(1, "scan"), counted(0, "scan")) == ("1 scan", "0 scans")
    assert times((1.5, 2, 3), ".3g") == "1.5 × 2 × 3"
