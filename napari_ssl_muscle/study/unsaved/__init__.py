"""Strokes that are not saved yet: drafts, and the journal that survives a crash."""
