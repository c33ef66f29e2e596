"""Results that travel: bundles for others, and the results of others merged into ours."""
