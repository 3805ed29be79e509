"""Make the committed sample data again."""
