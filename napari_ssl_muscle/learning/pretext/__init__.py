"""Pretext tasks: an image is corrupted, and the network learns to give the original back.

Each corruption is one module with one class; `corruption.CORRUPTIONS` names them.
"""
