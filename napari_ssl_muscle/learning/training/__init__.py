"""The training loop and its parts: optimizer, losses, checkpoints, device, memory."""
