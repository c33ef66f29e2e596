"""Nouns and small tools that every room may use."""
