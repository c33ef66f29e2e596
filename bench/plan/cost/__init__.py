"""Estimates of the time, memory and disk that a suite needs, without torch."""
