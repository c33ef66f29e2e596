"""Results and crafts on disk: written atomically, and read once per command."""
