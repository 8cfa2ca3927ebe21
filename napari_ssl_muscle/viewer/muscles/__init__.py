"""The table of muscles in the window: choosing one to draw, and editing the table."""
