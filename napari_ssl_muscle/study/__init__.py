"""A study: the folder in which corrections grow, slice by slice."""
