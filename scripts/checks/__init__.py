"""Check this package in other environments than the one of the suite."""
