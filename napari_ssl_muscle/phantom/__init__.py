"""A synthetic thigh with known muscles, to try, teach and test with."""
