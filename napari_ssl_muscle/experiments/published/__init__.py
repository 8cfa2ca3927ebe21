"""The published study as experiments on any cohort: plan, trials, and what is on disk."""
