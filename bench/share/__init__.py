"""Question results with other people: bundles for them, and their results merged into ours."""
