"""Show what the package does: the demo, and the pictures of the pages."""
