"""Learn from labels on whole videos, then say when and where it happens."""
