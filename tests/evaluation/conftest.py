"""Puts `label_files` within reach of the tests in the folders below."""
