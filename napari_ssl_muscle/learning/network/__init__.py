"""The U-Net, what it costs, and weights transferred between networks."""
