"""Segment leg muscles in MRI: learn from unlabelled scans, fine-tune from few labels, correct."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-ssl-muscle")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
