"""DICOM: what a scanner exports, listed by series and read with its geometry."""
