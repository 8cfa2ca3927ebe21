"""Scans, label maps and where they lie: geometry, formats, cohorts, splits, muscle tables."""
