"""Detection and search by text prompts."""
