"""Review: what people are shown of alerts and videos, and what they say about it."""
