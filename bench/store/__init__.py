"""Results and crafts on disk: written whole or not at all, and read once per command."""
