"""Small shared parts that know nothing of data or models."""
