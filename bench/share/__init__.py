"""Results for other people, in bundles and their own formats, and theirs merged into ours."""
