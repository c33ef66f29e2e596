"""The commands of `python -m radapt`: they parse arguments, call the library and print."""
