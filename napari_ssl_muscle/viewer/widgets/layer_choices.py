"""Lists of open layers that keep their order: magicgui alone puts whatever is new at the end."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox


def reload(box: ComboBox, *, first: bool = False) -> None:
    """Read a list's choices again, in their order, and stay with the chosen one.

    Nothing is told of it: whoever reloads looks at the value afterwards.

    Parameters
    ----------
    box
        The list.
    first
        Choose the first entry instead.
    """
    before: Any = box.value
    with box.changed.blocked():
        box.native.clear()
        box.reset_choices()
        wanted = box.choices[0] if first and box.choices else before
        if any(value is wanted for value in box.choices) and box.value is not wanted:
            box.value = wanted
