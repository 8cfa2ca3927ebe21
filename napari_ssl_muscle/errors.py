"""The one error that a user's mistake raises."""


class BadInput(ValueError):  # noqa: N818 - it names what is wrong, not the class of exception
    """What was asked for cannot be done with this input.

    The message is one sentence for the user: it names the file or setting and the way out.
    The shell prints it and exits with 2; the window shows it in a dialog.
    """
