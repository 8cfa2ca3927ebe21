"""The button "Save tables…" of forms with figures: asks for a folder, and before it replaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_ssl_muscle.viewer.widgets import dialogs


def save_tables(
    save: Callable[[Path], list[Path]], names: Sequence[str], window: Any
) -> str | None:
    """Ask where to, and save there.

    Parameters
    ----------
    save
        Writes the files into a folder; its `BadInput` is shown in a dialog.
    names
        What the files are called.
    window
        Where dialogs belong.

    Returns
    -------
    str or None
        A sentence that says what was saved; None if nothing was.
    """
    folder = dialogs.ask_folder("Folder for the tables", window)
    if folder is None:
        return None
    there = [name for name in names if (folder / name).exists()]
    sentence = f"{_listed(there)} {'exists' if len(there) == 1 else 'exist'} in {folder} already."
    if there and not dialogs.confirm(f"{sentence} Replace?", "Replace", window):
        return None
    files = dialogs.attempt(lambda: save(folder), window)
    return None if files is None else f"✓ Saved {_listed([f.name for f in files])} in {folder}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
