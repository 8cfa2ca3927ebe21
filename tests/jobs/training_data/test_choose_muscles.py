from __future__ import annotations

from pathlib import Path

from napari_ssl_muscle.jobs.training_data.labelled import choose_muscles
from napari_ssl_muscle.scans.muscles import default_table, read_table


def test_six_of_eleven_muscles_are_learned_unless_all_are_asked_for() -> None:
    eleven = read_table(Path("thigh-eleven"))
    assert set(choose_muscles(eleven, None).names) == set(default_table("thigh").names)
    assert choose_muscles(eleven, ["all"]) == eleven
