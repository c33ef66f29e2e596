"""Hostile suites: valid suites with random faults, which the harness must refuse in plain words."""
