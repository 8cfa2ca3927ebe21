"""The libraries that read DICOM: an extra, imported when a DICOM file is first opened."""

from __future__ import annotations

import warnings
from types import ModuleType

from napari_ssl_muscle.errors import BadInput


def pydicom() -> ModuleType:
    """Return the library pydicom.

    It warns of elements that break a rule by quoting them, patients' names included: its warnings
    are silenced.

    Raises
    ------
    BadInput
        If it is not installed; the sentence gives the command.
    """
    try:
        import pydicom as library
        import pydicom.pixels  # where python-gdcm registers itself
    except ImportError:
        raise BadInput(
            "DICOM is read with pydicom and python-gdcm, which are not installed; "
            'run pip install "napari-ssl-muscle[dicom]".'
        ) from None
    warnings.filterwarnings("ignore", module=r"pydicom\.")
    library.config.settings.reading_validation_mode = library.config.IGNORE
    return library
