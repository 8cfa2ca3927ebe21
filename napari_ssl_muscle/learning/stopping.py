"""How work ends when the user asks it to."""


class StoppedByUser(Exception):  # noqa: N818 - not an error
    """The user asked to end before there was anything to keep."""
