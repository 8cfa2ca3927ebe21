"""Muscles over months: visits brought together along the leg, change, and what can be told."""
