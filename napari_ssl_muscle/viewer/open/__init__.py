"""Opening scans, label maps and cohorts."""
