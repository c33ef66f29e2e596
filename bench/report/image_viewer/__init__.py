"""Clean and adversarial images of one cell, to look at."""
