"""A fault campaign: a small suite is run, hit at random moments, and must end as if undisturbed."""
