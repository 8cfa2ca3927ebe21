"""What most people leave alone or need no more, folded away behind a line of text."""

from __future__ import annotations

from magicgui.widgets import Container, PushButton, Widget


class Fold(Container[Widget]):
    """A line to click on, and what it shows and hides.

    Parameters
    ----------
    title
        The line's text.
    content
        What is folded; hidden at first.
    tooltip
        What a click on the line does.
    """

    def __init__(
        self, title: str, content: Widget, tooltip: str = "Show or hide these settings."
    ) -> None:
        self._title = title
        self.content = content
        self.button = PushButton(tooltip=tooltip)
        self.button.native.setFlat(True)
        self.button.native.setStyleSheet("text-align: left; background: transparent;")
        super().__init__(widgets=[self.button, content], labels=False)
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(2)
        self.button.changed.connect(self.toggle)
        self._open = True
        self.toggle()

    def toggle(self) -> None:
        """Show what is hidden, hide what is shown."""
        self._open = not self._open
        self.content.visible = self._open
        self.button.text = f"{'▾' if self._open else '▸'} {self._title}"
