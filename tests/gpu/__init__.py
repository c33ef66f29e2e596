"""The campaign that measures on a GPU what a CPU cannot show."""
