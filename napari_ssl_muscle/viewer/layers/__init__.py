"""Scans and label maps as napari layers, and where a person's eyes are led."""
