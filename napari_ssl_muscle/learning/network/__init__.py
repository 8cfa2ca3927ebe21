"""The U-Net, what it costs, and weights that are handed over between networks."""
