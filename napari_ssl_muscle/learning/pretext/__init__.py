"""Pretext tasks: an image is corrupted, and the network learns to give the original back.

`masking.make_corruption` returns the corruption that the settings name.
"""
