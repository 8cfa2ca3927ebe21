"""What all tests share: a home folder of their own."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from napari_ssl_muscle.learning.training import time_estimate

_numbers = count()


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder: nothing is read from or written to the real one."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    return folder


@pytest.fixture(autouse=True)
def own_speeds(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which this test's trainings leave their speeds, not the real one."""
    file = tmp_path_factory.getbasetemp() / "speeds" / f"{next(_numbers)}.json"
    monkeypatch.setattr(time_estimate, "speed_file", lambda: file)
    return file
