"""One module for each action: what it checks, and the work that it then does."""
