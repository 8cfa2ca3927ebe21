"""The set-up: which Python is used, what is installed when, and the sentence if it cannot go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="make's set-up is for Linux and macOS")


@pytest.fixture(autouse=True)
def _tools_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))


@pytest.fixture
def system() -> Any:
    import system

    return system


@pytest.fixture
def environment() -> Any:
    import environment

    return environment


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have run; each succeeds."""
    seen: list[list[str]] = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        seen.append([str(part) for part in command])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def set_up(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run tools/setup with only `folder` and the most basic commands on the path."""
    for name in ("sh", "dirname"):
        (folder / name).symlink_to(f"/bin/{name}" if name == "sh" else f"/usr/bin/{name}")
    return subprocess.run(
        ["/bin/sh", str(ROOT / "tools" / "setup"), *arguments],
        env={"PATH": str(folder), **more},
        capture_output=True,
        text=True,
    )


OLD = '#!/bin/sh\ncase "$2" in *exit*) exit 1 ;; *) echo 3.9 ;; esac\n'
NEW = '#!/bin/sh\ncase "$1" in -c) exit 0 ;; *) echo "$0 runs $*" ;; esac\n'


def test_an_old_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    program(tmp_path / "python3", OLD)
    done = set_up(tmp_path, "app")
    assert done.returncode == 1
    assert done.stderr.startswith("This program needs Python 3.11 or newer (python3 is 3.9):")
    assert done.stderr.count("\n") == 1


def test_no_python_is_said_in_one_sentence(tmp_path: Path) -> None:
    done = set_up(tmp_path, "app")
    assert done.returncode == 1
    assert done.stderr.startswith("This program needs Python 3.11 or newer: install it")
    assert done.stderr.count("\n") == 1


def test_a_newer_python_beside_an_old_one_is_found(tmp_path: Path) -> None:
    program(tmp_path / "python3", OLD)
    program(tmp_path / "python3.12", NEW)
    done = set_up(tmp_path, "app", "pyqt6")
    assert f"python3.12 runs -I {ROOT}/tools/environment.py app pyqt6" in done.stdout


def test_the_named_python_goes_first(tmp_path: Path) -> None:
    program(tmp_path / "python3", NEW)
    program(tmp_path / "elsewhere" / "mine", NEW)
    done = set_up(tmp_path, "test", PYTHON=str(tmp_path / "elsewhere" / "mine"))
    assert "elsewhere/mine runs" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "extras"),
    [
        (["app"], {"pyqt5", "all"}),
        (["app", "pyqt6"], {"pyqt6", "all"}),
        (["test"], {"pyqt5", "pyqt6", "dev", "all"}),
        (["app", "pyside6"], None),
        ([], None),
    ],
)
def test_what_is_asked_for_decides_the_extras(
    environment: Any, arguments: list[str], extras: set[str] | None
) -> None:
    assert environment.wanted_extras(arguments) == extras


# --- system packages ---


@pytest.fixture
def bare(system: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Debian without two of Qt's libraries and without Xvfb."""
    monkeypatch.setattr(
        system, "is_loadable", lambda name: name not in {"libGL.so.1", "libdbus-1.so.3"}
    )
    monkeypatch.setattr(
        system.shutil, "which", lambda name: None if name == "Xvfb" else f"/usr/bin/{name}"
    )
    return system


def test_without_rights_the_exact_command_is_named(
    bare: Any, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bare, "privilege", lambda: None)
    with pytest.raises(bare.SetupError) as caught:
        bare.ensure(virtual_display=True, environments=False)
    assert "\n  sudo apt-get install libdbus-1-3 libgl1 xvfb\n" in str(caught.value)
    assert "libGL.so.1" in str(caught.value)
    assert not calls


def test_a_display_saves_the_virtual_one(bare: Any) -> None:
    packages, _ = bare.missing_packages(virtual_display=False, environments=False)
    assert packages == ["libdbus-1-3", "libgl1"]


def test_with_rights_apt_updates_first_and_installs_all_at_once(
    bare: Any, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bare, "privilege", lambda: ["sudo", "--non-interactive"])
    with pytest.raises(bare.SetupError, match="still missing"):
        bare.ensure(virtual_display=True, environments=False)  # here apt changes nothing
    update, install = calls
    assert update[:2] == install[:2] == ["sudo", "--non-interactive"]
    assert update[-1] == "update"
    assert install[-3:] == ["libdbus-1-3", "libgl1", "xvfb"]
    assert "DEBIAN_FRONTEND=noninteractive" in install


def test_without_apt_the_libraries_are_named(bare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bare.shutil, "which", lambda name: None)
    with pytest.raises(bare.SetupError, match=r"libGL\.so\.1.*package manager"):
        bare.ensure(virtual_display=False, environments=False)


def test_a_python_that_makes_no_environments_needs_its_venv_package(
    system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system.importlib.util, "find_spec", lambda name: None)
    packages, _ = system.missing_packages(virtual_display=False, environments=True)
    assert f"python3.{sys.version_info.minor}-venv" in packages


def test_a_library_that_is_not_there_does_not_load(system: Any) -> None:
    assert system.missing_libraries(["libno-such-thing.so.1"]) == ["libno-such-thing.so.1"]


def test_a_plugin_of_qt_that_cannot_load_is_named(system: Any, tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    broken = packages / "PyQt5" / "Qt5" / "plugins" / "platforms" / "libqxcb.so"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no library")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    with pytest.raises(system.SetupError, match="PyQt5 cannot show windows"):
        system.check_qt_plugins(tmp_path / "bin" / "python")


# --- the environment ---


@pytest.fixture
def project(environment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of the same packaging settings, with an environment that seems to work."""
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    return tmp_path


def python_of(project: Path) -> Path:
    return project / ".venv" / "bin" / "python"


def test_a_second_set_up_installs_nothing(
    environment: Any, project: Path, calls: list[list[str]]
) -> None:
    environment.ensure_packages(python_of(project), {"pyqt5", "dev"})
    (first,) = calls
    assert f"{project}[dev,pyqt5]" in first
    assert str(project / "constraints.txt") in first
    environment.ensure_packages(python_of(project), {"pyqt5", "dev"})
    environment.ensure_packages(python_of(project), {"pyqt5"})
    assert len(calls) == 1


def test_settings_of_other_tools_do_not_install_again(
    environment: Any, project: Path, calls: list[list[str]]
) -> None:
    environment.ensure_packages(python_of(project), {"pyqt5"})
    settings = project / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("line-length = 100", "line-length = 99"), encoding="utf-8")
    environment.ensure_packages(python_of(project), {"pyqt5"})
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_install_again_and_keep_the_extras(
    environment: Any, project: Path, calls: list[list[str]], name: str
) -> None:
    environment.ensure_packages(python_of(project), {"pyqt5", "dev"})
    path = project / name
    path.write_text(path.read_text(encoding="utf-8").replace("numpy", "numpy2"), encoding="utf-8")
    environment.ensure_packages(python_of(project), {"pyqt5"})
    assert f"{project}[dev,pyqt5]" in calls[1]


def test_another_extra_is_added(environment: Any, project: Path, calls: list[list[str]]) -> None:
    environment.ensure_packages(python_of(project), {"pyqt5"})
    environment.ensure_packages(python_of(project), {"pyqt6"})
    assert f"{project}[pyqt5,pyqt6]" in calls[1]


def test_a_failed_installation_is_tried_again(
    environment: Any, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def run(*_: Any, **__: Any) -> SimpleNamespace:
        tries.append(1)
        return SimpleNamespace(returncode=1)

    monkeypatch.setattr(subprocess, "run", run)
    for _ in range(2):
        with pytest.raises(Exception, match="It needs the internet"):
            environment.ensure_packages(python_of(project), {"pyqt5"})
    assert len(tries) == 2


def test_a_damaged_stamp_counts_as_none(
    environment: Any, project: Path, calls: list[list[str]]
) -> None:
    (project / ".venv" / environment.STAMP).write_text('{"finger', encoding="utf-8")
    environment.ensure_packages(python_of(project), {"pyqt5"})
    assert json.loads((project / ".venv" / environment.STAMP).read_text())["extras"] == ["pyqt5"]


def test_a_folder_that_is_no_environment_is_left_alone(environment: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(Exception, match="is no virtual environment"):
        environment.ensure_environment(tmp_path)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "mine"


def test_an_interrupted_environment_is_made_again(environment: Any, tmp_path: Path) -> None:
    folder = tmp_path / ".venv"
    folder.mkdir()
    (folder / "pyvenv.cfg").write_text("", encoding="utf-8")
    python = environment.ensure_environment(folder)
    assert environment.works(python)
    before = (folder / "pyvenv.cfg").stat().st_mtime_ns
    assert environment.ensure_environment(folder) == python
    assert (folder / "pyvenv.cfg").stat().st_mtime_ns == before
