"""From the files of cohorts and studies to the cases that learning is given."""
