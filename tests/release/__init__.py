"""The check before a release: the wheel in an empty environment."""
