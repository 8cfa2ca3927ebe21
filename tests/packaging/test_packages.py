"""Wheel, sdist and editable install: each contains the manifest and the resources."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_SOURCE = (".venv", ".git", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")

LOOK = """
import importlib.resources, json, npe2
from napari_ssl_muscle.scans.muscles import default_table
manifest = npe2.PluginManifest.from_distribution("napari-ssl-muscle")
package = importlib.resources.files("napari_ssl_muscle")
def names(folder):
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
print(json.dumps({
    "package": str(package),
    "widgets": [widget.display_name for widget in manifest.contributions.widgets],
    "resources": [names(package / "resources" / room) for room in ("muscles", "models")],
    "icon": (package / "resources" / "icon.svg").is_file(),
    "thigh": default_table("thigh").names,
}))
"""


@dataclass(frozen=True)
class Bare:
    """A virtual environment that sees all installed packages but this one and the Qt bindings."""

    folder: Path

    @property
    def scripts(self) -> Path:
        """Where its commands are."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.scripts / ("python.exe" if os.name == "nt" else "python")

    def install(self, *what: str) -> None:
        """Install with pip what is on this disk, without dependencies."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.python)]
        local = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        self.done([*pip, "install", *local, *what])

    def run(self, code: str) -> str:
        """Run Python code somewhere else than in the source tree and return what it prints."""
        return self.done([str(self.python), "-c", code])

    def done(self, command: list[str]) -> str:
        """Run a command in the environment's folder; the test fails if the command does."""
        ended = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def installed_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of links to every installed package but this one and the Qt bindings."""
    folder = tmp_path_factory.mktemp("packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        name = entry.name.lower()
        ours = "napari_ssl_muscle" in name or name.endswith(".pth")
        if not ours and not name.startswith(("pyqt5", "pyqt6", "pyside")):
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def bare(tmp_path: Path, installed_packages: Path) -> Bare:
    """A fresh environment that does not know the project yet."""
    made = Bare(tmp_path / "environment")
    venv.create(made.folder, with_pip=False)
    purelib = made.run("import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(purelib) / "dependencies.pth").write_text(f"{installed_packages}\n", encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree, with untracked files in it that git ignores."""
    copy = tmp_path_factory.mktemp("source") / "project"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    for litter in (
        ".venv/litter.py",
        "build/litter.png",
        "napari_ssl_muscle/__pycache__/litter.pyc",
    ):
        (copy / litter).parent.mkdir(parents=True, exist_ok=True)
        (copy / litter).write_bytes(b"litter")
    return copy


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist, and the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    ended = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def resources_of(source: Path) -> list[list[str]]:
    return [
        sorted(entry.name for entry in (source / "resources" / room).iterdir())
        for room in ("muscles", "models")
    ]


@pytest.mark.parametrize("form", ["wheel", "sdist", "editable"])
def test_every_form_finds_manifest_and_resources(
    form: str, bare: Bare, built: Path, source: Path
) -> None:
    match form:
        case "wheel":
            bare.install(str(next(built.glob("*.whl"))))
        case "sdist":
            bare.install(str(next(built.glob("*.tar.gz"))))
        case _:
            bare.install("--editable", str(source))
    found = json.loads(bare.run(LOOK))
    home = source if form == "editable" else bare.folder
    assert Path(found["package"]).is_relative_to(home)
    assert "Segment & correct" in found["widgets"]
    assert found["resources"] == resources_of(source)
    assert len(found["resources"][0]) >= 2  # a table for the thigh and one for the calf
    assert found["icon"]
    assert "vastus lateralis" in [name.lower() for name in found["thigh"]]


def test_packages_hold_the_program_and_nothing_else(built: Path, source: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        in_wheel = {name for name in wheel.namelist() if ".dist-info/" not in name}
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        in_sdist = {name.partition("/")[2] for name in sdist.getnames()}
    assert {name.partition("/")[0] for name in in_wheel} == {"napari_ssl_muscle"}
    assert {name.partition("/")[0] for name in in_sdist} <= {
        *("napari_ssl_muscle", "resources", "napari.yaml", "pyproject.toml", "constraints.txt"),
        *("README.md", "LICENSE", "NOTICE", "PKG-INFO", ".gitignore"),
    }
    assert not [name for name in in_wheel | in_sdist if "litter" in name or "pictures" in name]
    # Every module of the source tree is there: nothing was ignored by mistake.
    modules = {
        path.relative_to(source).as_posix() for path in (source / "napari_ssl_muscle").rglob("*.py")
    }
    assert modules <= in_wheel
    assert modules <= in_sdist


def test_without_a_qt_binding_the_program_says_which_command_helps(bare: Bare, built: Path) -> None:
    bare.install(str(next(built.glob("*.whl"))))
    ended = subprocess.run(
        [str(bare.scripts / "ssl-muscle"), "app"], cwd=bare.folder, capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert 'pip install "napari-ssl-muscle[pyqt6]"' in ended.stderr
    assert "Traceback" not in ended.stderr


def test_base_dependencies_choose_no_qt_binding() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = [requirement.lower() for requirement in project["dependencies"]]
    assert not [name for name in base if name.startswith(("pyqt", "pyside")) or "[" in name]
    assert "napari>=0.9,<0.10" in project["optional-dependencies"]["pyqt5"]
    assert not [name for name in project["optional-dependencies"]["pyqt6"] if "napari" in name]
