"""Sizes and fat of muscles, from labels and images: no reference needed."""
