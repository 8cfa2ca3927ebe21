"""Segmenting the open scan, and saving its labels."""
