"""A job is one action and its settings as data; it runs here or in a child process."""
