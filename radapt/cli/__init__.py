"""The commands of `python -m radapt`: each reads arguments, calls the library and prints."""
