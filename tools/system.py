"""System packages on Linux: the libraries that Qt and OpenGL load, and Xvfb; installed with apt.

PyQt's wheels bring Qt but not what Qt itself asks of the system; without it napari dies with "could
not load the Qt platform plugin". A library is looked for by loading it.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

QT_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libX11.so.6": "libx11-6",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libXext.so.6": "libxext6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libbrotlidec.so.1": "libbrotli1",
    "libzstd.so.1": "libzstd1",
    "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
"""What Qt 5's and Qt 6's X11 plugins and their Qt libraries need from the system (the NEEDED
entries of the wheels' files, the C library aside), and the Debian and Ubuntu package of each."""


class SetupError(Exception):
    """The set-up cannot go on; the message is one sentence for the user."""


def ensure(virtual_display: bool, environments: bool) -> None:
    """Install what the system lacks for the program, all at once, or say how.

    Parameters
    ----------
    virtual_display
        Xvfb is needed, too.
    environments
        Python must be able to make a virtual environment.
    """
    packages, reasons = missing_packages(virtual_display, environments)
    if packages:
        install(packages, " and ".join(reasons))
        left, reasons = missing_packages(virtual_display, environments)
        if left:
            raise SetupError(f"After installing them, this is still missing: {', '.join(reasons)}.")


def missing_packages(virtual_display: bool, environments: bool) -> tuple[list[str], list[str]]:
    """Return the Debian packages that this system lacks, and what they are for, to be shown."""
    packages: set[str] = set()
    reasons: list[str] = []
    missing = missing_libraries(QT_LIBRARIES)
    if missing:
        packages |= {QT_LIBRARIES[name] for name in missing}
        reasons.append(f"system libraries for Qt and OpenGL ({', '.join(missing)})")
    if virtual_display and shutil.which("Xvfb") is None:
        packages.add("xvfb")
        reasons.append("a virtual display (Xvfb)")
    importlib.invalidate_caches()
    if environments and importlib.util.find_spec("ensurepip") is None:
        # Debian and Ubuntu keep the part that makes environments in a package of its own.
        packages.add(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
        reasons.append("Python's module that makes virtual environments (ensurepip)")
    return sorted(packages), reasons


def missing_libraries(names: Iterable[str]) -> list[str]:
    """Return those of the shared libraries that this system cannot load."""
    return [name for name in names if not is_loadable(name)]


def is_loadable(name: str) -> bool:
    """Return whether the dynamic loader finds a library and all that it needs."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def install(packages: Sequence[str], what: str) -> None:
    """Install Debian packages, if this user may do so without a password.

    Raises
    ------
    SetupError
        If they may not, or apt fails; the sentence names the exact command.
    """
    if shutil.which("apt-get") is None:
        raise SetupError(
            f"Missing: {what}. Install them with your system's package manager and run this "
            f"again; Debian's packages of them are {' '.join(packages)}."
        )
    command = f"sudo apt-get install {shlex.join(packages)}"
    prefix = privilege()
    if prefix is None:
        raise SetupError(f"Missing: {what}. Install with\n  {command}\nand run this again.")
    print(f"Installing with apt: {' '.join(packages)} …", file=sys.stderr, flush=True)
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2"]
    # A failing update (one of many sources is down) need not stop the installation.
    subprocess.run([*apt, "update"], stdin=subprocess.DEVNULL)
    add = [*apt, "install", "--yes", "--no-install-recommends", *packages]
    if subprocess.run(add, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode:
        raise SetupError(f"apt could not install {what}; its words are above. Try\n  {command}")


def privilege() -> list[str] | None:
    """Return the prefix of a command that needs root; None if that needs a password."""
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "--non-interactive"]
    if shutil.which("sudo") and not subprocess.run([*sudo, "true"], capture_output=True).returncode:
        return sudo
    return None


def check_qt_plugins(python: Path) -> None:
    """Load the X11 plugin of each installed Qt binding, as Qt itself does.

    This finds libraries that `QT_LIBRARIES` lacks, for example after an update of a binding.

    Raises
    ------
    SetupError
        If one of them cannot be loaded.
    """
    for plugin in sorted(python.parents[1].glob("lib/python*/site-packages/PyQt*/Qt*/plugins")):
        path = plugin / "platforms" / "libqxcb.so"
        load = f"import ctypes; ctypes.CDLL({str(path)!r})"
        tried = subprocess.run([python, "-I", "-c", load], capture_output=True, text=True)
        if path.is_file() and tried.returncode:
            reason = tried.stderr.strip().rpartition("OSError: ")[2]
            raise SetupError(
                f"{plugin.parts[-3]} cannot show windows on this system: {reason}; install the "
                "package with this library and run this again."
            )
