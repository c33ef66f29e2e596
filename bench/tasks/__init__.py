"""What a number means, task by task."""
