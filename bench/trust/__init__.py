"""The trust battery: checks that find robustness numbers which should not be trusted.

Reading and printing findings (`findings`, `stored_findings`, `explanations`, `findings_table`) does
not import torch; the checks do, because they need the models.
"""
