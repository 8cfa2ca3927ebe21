"""Slices, U-Net, training, transfer, model files and prediction."""

import os

# Before torch loads its OpenMP: threads that wait for each other should sleep, not spin. Spinning
# made two-thread training up to three times slower wherever another process wanted the cores
# (napari's own drawing does). Whoever sets the variable decides.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
