"""The trust battery: when a robustness number must not be believed, and why.

What is kept and shown of it (`findings`, `kept`, `meanings`, `table`) starts without torch; the
checks themselves need models.
"""
