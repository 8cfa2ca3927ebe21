"""Pretraining and fine-tuning, and what came out of them."""
