"""Labels against ground truth, and measures without it."""
