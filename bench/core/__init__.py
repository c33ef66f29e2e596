"""Types and small tools that every room uses."""
