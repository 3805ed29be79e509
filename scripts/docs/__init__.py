"""What the pages show of the code."""
