"""Correcting labels by hand: slices and their states, keys, nothing drawn is lost."""
