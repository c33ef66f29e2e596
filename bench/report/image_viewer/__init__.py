"""Clean and adversarial images of a cell for viewing."""
