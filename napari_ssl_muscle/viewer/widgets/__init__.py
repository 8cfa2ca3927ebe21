"""What the forms are built of."""
