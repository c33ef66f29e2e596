"""Files on the Hugging Face hub: downloaded once, checked, and found offline."""
