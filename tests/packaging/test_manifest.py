"""The manifest: valid, and light enough that napari opens at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "matplotlib.pyplot", "sklearn", "monai", "lightning"}


def loaded_by(code: str) -> set[str]:
    """Return which heavy modules are loaded after `code` ran in a fresh Python."""
    report = f"{code}\nimport sys, json\nprint(json.dumps(sorted({HEAVY!r} & set(sys.modules))))"
    ended = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def commands() -> list[str]:
    """What the manifest points to, as ``module:name``."""
    manifest = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))
    return [command["python_name"] for command in manifest["contributions"]["commands"]]


def test_the_manifest_is_valid_and_everything_in_it_imports() -> None:
    validate = [sys.executable, "-m", "npe2", "validate", "--imports", "napari-ssl-muscle"]
    ended = subprocess.run(validate, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_modules_of_the_manifest_load_nothing_heavy(commands: list[str]) -> None:
    modules = sorted({command.partition(":")[0] for command in commands})
    assert modules
    assert not loaded_by("\n".join(f"import {module}" for module in modules))


def test_opening_napari_with_every_form_loads_no_torch() -> None:
    # pytest-xvfb gives this process its display, and the child inherits it.
    opened = loaded_by(
        "import napari, yaml\n"
        "viewer = napari.Viewer(show=False)\n"
        "viewer.open_sample('napari-ssl-muscle', 'leg-phantom')\n"
        f"manifest = yaml.safe_load(open({str(ROOT / 'napari.yaml')!r}, encoding='utf-8'))\n"
        "for widget in manifest['contributions']['widgets']:\n"
        "    viewer.window.add_plugin_dock_widget('napari-ssl-muscle', widget['display_name'])\n"
        "viewer.close()"
    )
    assert "torch" not in opened
