"""Terminal output of a run: live progress, plain lines without a terminal, and tables."""
