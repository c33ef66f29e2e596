"""Suite files: the typed entries, and the loader, which reports all faults at once."""
