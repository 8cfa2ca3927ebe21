"""Slices, U-Net, training, transfer, model files and prediction."""
