"""The magicgui building blocks of the forms: scrolling forms, rows, wrapped text, shell command."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import ComboBox, Container, Label, LineEdit, PushButton, Widget
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QDockWidget,
    QFormLayout,
    QFrame,
    QLabel,
    QMainWindow,
    QScrollArea,
    QSizePolicy,
    QWidget,
)

from napari_ssl_muscle.evaluation.provenance import versions
from napari_ssl_muscle.viewer.widgets.qt_lifetime import (
    call_later,
    delete_when_undocked,
    on_first_show,
)

NARROW = QSizePolicy.Policy.Ignored
_IS_FORM = "ssl_muscle_form"
_CAPTION = "ssl_muscle_caption"
INSIDE = "ssl_muscle_inside"
"""Qt property of a form that is a part of another widget, whose dock is not the form's own."""

LONGEST_NAME = 36
"""Characters of a name that fit into a line of a form."""

WIDTH = 340
"""Least width of a form in pixels: nothing in it is cut off."""


CPU = "CPU"
"""What `expected_device` says where there is nothing else."""


def expected_device() -> str:
    """Say what work will run on as far as that is known without importing torch."""
    build = versions().get("torch")
    if build is None:
        return "unknown: PyTorch is not installed"
    return CPU if build.endswith("+cpu") else "GPU if PyTorch finds one, else CPU"


class Form(Container[Widget]):
    """A form that scrolls when the window is too low for it.

    napari docks a magicgui container by its `native` widget, which leaves the scroll area behind;
    so here `native` is the scroll area. When it is shown first, it joins the plugin's other forms
    as a tab, because stacked docks leave none of them enough height.

    Parameters
    ----------
    title
        On its tab.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        super().__init__(labels=False, scrollable=True)
        area = self.root_native_widget
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setMinimumWidth(WIDTH)
        on_first_show(area, self._on_first_show)
        delete_when_undocked(area)

    def add_parts(self, *parts: Widget) -> None:
        """Put all parts into the form, below each other and pushed to the top."""
        self.extend(parts)
        layout = self.root_native_widget.widget().layout()
        layout.addStretch(1)
        layout.setSpacing(8)

    def align_captions(self) -> None:
        """Give the captions of all `Fields` in the form one width, so that their inputs line up."""
        captions = self.root_native_widget.findChildren(QLabel, _CAPTION)
        for caption in captions:
            caption.ensurePolished()  # in the font of the window's style
        width = max((caption.sizeHint().width() for caption in captions), default=0)
        for caption in captions:
            caption.setFixedWidth(width)

    def _on_first_show(self) -> None:
        """Do what needs the window: measure captions in its font, join the other forms."""
        self.align_captions()
        self.fit_width()
        if not self.native.property(INSIDE):
            join_tabs(self.native, self._title)
        self.native.setProperty(_IS_FORM, True)  # from now on others join this one

    @property
    def native(self) -> Any:
        """The scroll area."""
        return self.root_native_widget

    def fit_width(self) -> None:
        """Be at least as wide as what is in the form, so that nothing is cut off."""
        area = self.root_native_widget
        needed = (
            area.widget().minimumSizeHint().width() + area.verticalScrollBar().sizeHint().width()
        )
        area.setMinimumWidth(max(WIDTH, needed))

    def scroll_to(self, part: Widget) -> None:
        """Scroll to a part, once the layout is up to date.

        A part that was just filled reaches its height in a second pass of the layout.
        """
        area, native = self.root_native_widget, part.native

        def scroll() -> None:
            area.ensureWidgetVisible(native)

        call_later(area, lambda: call_later(area, scroll))


def join_tabs(widget: QWidget, title: str) -> None:
    """Put a docked form as a tab beside the plugin's other forms in the same dock area."""
    dock = widget.parent()
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parent()
    window = dock.parent() if dock is not None else None
    if not isinstance(dock, QDockWidget) or not isinstance(window, QMainWindow):
        return
    dock.setWindowTitle(title)
    area = window.dockWidgetArea(dock)
    for other in window.findChildren(QDockWidget):
        inside = other.findChildren(QScrollArea)
        if other is dock or not any(w.property(_IS_FORM) for w in inside):
            continue
        if window.dockWidgetArea(other) == area and other not in window.tabifiedDockWidgets(dock):
            window.tabifyDockWidget(other, dock)
            dock.raise_()
            return


class Paragraph(Label):
    """A label that shortens names too long for a line, which Qt would cut off; the tooltip has all.

    Attributes
    ----------
    value
        The whole text.
    """

    _text = ""

    @property
    def value(self) -> str:
        """The whole text."""
        return self._text

    @value.setter
    def value(self, text: str) -> None:
        self._text = text
        shown = text if "<" in text else _LONG.sub(_shorten, text)
        self.native.setText(shown)
        self.tooltip = text if shown != text else ""


_LONG = re.compile(rf"[^\s/\\]{{{LONGEST_NAME + 1},}}")


def _shorten(found: re.Match[str]) -> str:
    half = LONGEST_NAME // 2
    return f"{found[0][:half]}…{found[0][-half:]}"


def paragraph(text: str = "", *, lines: int = 0) -> Label:
    """Return a label whose text wraps, takes the height it needs and can be copied.

    There is always room for so many `lines`, so that what is below stays in its place.
    """
    label = Paragraph(value=text)
    label.native.setMinimumHeight(lines * label.native.fontMetrics().lineSpacing())
    label.native.setWordWrap(True)
    label.native.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(NARROW, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.native.setSizePolicy(policy)
    return label


def row(first: Widget, *buttons: Widget, label: str = "") -> Container[Widget]:
    """Return widgets side by side; the first takes the space that is left."""
    line = Container(widgets=[first, *buttons], layout="horizontal", labels=False, label=label)
    line.margins = (0, 0, 0, 0)
    line.native.layout().setStretch(0, 1)
    return line


def column(*widgets: Widget) -> Container[Widget]:
    """Return widgets below each other, without margins of their own."""
    part = Container(widgets=list(widgets), labels=False)
    part.margins = (0, 0, 0, 0)
    return part


def wrap_qt_widget(widget: QWidget) -> Container[Widget]:
    """Return a Qt widget as a part of a magicgui form."""
    part = column()
    part.native.layout().addWidget(widget)
    return part


class Fields(Container[Widget]):
    """Widgets below each other, each with its `label` as a caption before it.

    They lie in Qt's own form layout; `Form.align_captions` lines them up with other ones.
    """

    def __init__(self, *widgets: Widget) -> None:
        super().__init__(labels=False)
        self.margins = (0, 0, 0, 0)
        self._rows = QFormLayout()
        # The same with every style and system.
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        self._rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        self.native.layout().addLayout(self._rows)
        self.extend(widgets)

    def insert(self, key: int, widget: Widget) -> None:
        """Insert a widget and its caption."""
        super().insert(key, widget)
        caption = QLabel(widget.label)
        caption.setObjectName(_CAPTION)
        caption.setToolTip(widget.tooltip or "")
        self._rows.insertRow(key, caption, widget.native)  # Qt takes it out of magicgui's layout

    def clear(self) -> None:
        """Remove all widgets and their captions."""
        super().clear()
        while self._rows.rowCount():
            self._rows.removeRow(0)


def heading(text: str) -> Label:
    """Return a bold line."""
    label = Label(value=text)
    font = label.native.font()
    font.setBold(True)
    label.native.setFont(font)
    return label


def main_button(text: str, tooltip: str) -> PushButton:
    """Return the button that a form is there for."""
    button = PushButton(text=text, tooltip=tooltip)
    font = button.native.font()
    font.setBold(True)
    button.native.setFont(font)
    button.native.setMinimumHeight(32)
    return button


def choice(
    choices: Callable[[Any], list[tuple[str, Any]]] | Sequence[tuple[str, Any]],
    *,
    tooltip: str = "",
    label: str = "",
) -> ComboBox:
    """Return a list to choose from that may be narrower than its longest entry."""
    box = ComboBox(choices=choices, tooltip=tooltip, label=label)
    box.native.setSizePolicy(NARROW, QSizePolicy.Policy.Fixed)
    box.native.setMinimumWidth(110)
    return box


def line(value: str = "", *, tooltip: str = "", hint: str = "") -> LineEdit:
    """Return a line of text that may be narrower than usual; `hint` shows while it is empty."""
    edit = LineEdit(value=value, tooltip=tooltip)
    edit.native.setPlaceholderText(hint)
    edit.native.setMinimumWidth(80)
    return edit


def small_button(text: str, tooltip: str) -> PushButton:
    """Return a button that is no wider than its word."""
    button = PushButton(text=text, tooltip=tooltip)
    button.native.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return button


def refresh(box: ComboBox, wanted: Any = None) -> None:
    """Read a list's choices again and stay with the chosen object, whatever it is called now.

    Parameters
    ----------
    box
        The list.
    wanted
        What to choose instead, if it is there.
    """
    before = box.value if wanted is None else wanted
    box.reset_choices()
    if any(value is before for value in box.choices) and box.value is not before:
        box.value = before


def refresh_in_order(box: ComboBox, *, first: bool = False) -> None:
    """Refresh a list so that its choices are in their order; `changed` is not emitted.

    magicgui alone puts whatever is new at the end.

    Parameters
    ----------
    box
        The list.
    first
        Choose the first entry instead of the chosen one.
    """
    before = box.value
    with box.changed.blocked():
        box.native.clear()
        refresh(box, before)
        if first and box.choices:
            box.value = box.choices[0]


class CommandLine(Container[Widget]):
    """The shell command that does the same as the form, to copy."""

    def __init__(self) -> None:
        self.line = line()
        self.line.native.setReadOnly(True)
        self.copy_button = small_button("Copy", "Copy the command.")
        self.copy_button.changed.connect(self._copy)
        super().__init__(
            widgets=[Label(value="The same in a shell"), row(self.line, self.copy_button)],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        self.show_command(None)

    def show_command(self, command: str | None, why_not: str = "") -> None:
        """Show a command, or in grey the reason why there is none."""
        self.line.value = command or ""
        self.line.native.setPlaceholderText(why_not)
        self.line.native.setCursorPosition(0)
        self.line.tooltip = command or why_not
        self.copy_button.enabled = bool(command)

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.line.value)
