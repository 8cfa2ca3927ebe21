"""Experiments: many jobs that differ in one thing, and tables with intervals of what came out."""
