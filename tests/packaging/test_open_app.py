"""``make app`` with and without a display."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="virtual displays are for Linux")
needs_xvfb = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")


@pytest.fixture
def open_app(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import open_app

    return open_app


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for ``ssl-muscle`` and Python that write down how they were called; exit with 3."""
    for name in ("ssl-muscle", "python"):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho "$DISPLAY {name} $*" > {tmp_path}/call\nexit 3\n')
        script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    return tmp_path / "call"


@needs_xvfb
def test_without_a_display_a_virtual_one_gives_a_picture(
    open_app: Any,
    command: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    picture = tmp_path / "build" / "app.png"
    assert open_app.main(picture) == 3
    name, *arguments = command.read_text().split()
    assert arguments == ["python", str(ROOT / "tools" / "photograph.py"), str(picture)]
    assert name.startswith(":")
    assert "no display" in capsys.readouterr().err
    assert picture.parent.is_dir()


def test_with_a_display_the_window_just_opens(
    open_app: Any, command: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_app.display, "has_display", lambda: True)
    monkeypatch.setenv("DISPLAY", ":7")
    assert open_app.main(tmp_path / "app.png") == 3
    assert command.read_text().split() == [":7", "ssl-muscle", "app", "--demo"]


@needs_xvfb
def test_a_display_is_one_that_answers(
    open_app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with open_app.display.virtual_display() as environment:
        monkeypatch.setenv("DISPLAY", environment["DISPLAY"])
        assert open_app.display.has_display()
    assert not open_app.display.has_display()
