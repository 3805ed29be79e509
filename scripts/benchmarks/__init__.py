"""Measure, and write the pages that hold the numbers."""
