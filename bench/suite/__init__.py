"""What a suite may say: typed entries, the loader, all faults at once."""
