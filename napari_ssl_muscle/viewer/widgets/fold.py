"""What most people leave alone or need no more, folded away behind a line of text."""

from __future__ import annotations

from magicgui.widgets import Container, PushButton, Widget


class Fold(Container[Widget]):
    """A line to click on, and what it shows and hides.

    superqt's QCollapsible is no choice here: it fixes the height of its content, which wrapped
    text must be free to change with the width.

    Parameters
    ----------
    title
        The line's text.
    content
        What is folded.
    tooltip
        What a click on the line does.
    unfolded
        Whether the content is shown from the start.
    """

    def __init__(
        self,
        title: str,
        content: Widget,
        tooltip: str = "Show or hide these settings.",
        *,
        unfolded: bool = False,
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
        self.set_unfolded(unfolded)

    def toggle(self) -> None:
        """Show what is hidden, hide what is shown."""
        self.set_unfolded(not self._unfolded)

    def set_unfolded(self, unfolded: bool) -> None:
        """Show the content, or hide it."""
        self._unfolded = unfolded
        self.content.visible = unfolded
        self.button.text = f"{'▾' if unfolded else '▸'} {self._title}"
