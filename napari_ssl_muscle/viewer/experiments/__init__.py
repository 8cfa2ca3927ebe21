"""Repeat the published study from the window."""
