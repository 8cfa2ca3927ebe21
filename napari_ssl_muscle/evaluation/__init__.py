"""Metrics per muscle, measures in mL and mm², statistics and reports."""
