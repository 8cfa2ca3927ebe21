"""File formats of images."""
