"""Sessions of a person at the window, for `tools/walkthrough.py`."""
