"""3D Slicer's colour tables as muscle tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.muscles import read_table

TABLE = """# Color table file muscles.ctbl
# 4 values
0 Background 0 0 0 0
1 Vastus_Lateralis 10 20 30 255
2 (none) 0 0 0 0
3 L_SOL 40 50 60 255
"""


def test_a_colour_table_of_3d_slicer_names_muscles(tmp_path: Path) -> None:
    path = tmp_path / "muscles.ctbl"
    path.write_text(TABLE)
    found = read_table(path).muscles
    assert [(m.value, m.name, m.colour) for m in found] == [
        (1, "vastus lateralis", (10, 20, 30)),
        (3, "soleus left", (40, 50, 60)),
    ]


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "muscles.ctbl"
    path.write_text(TABLE + "4 vastus medialis 1 2 3 255\n")
    with pytest.raises(BadInput, match="Line 7"):
        read_table(path)
