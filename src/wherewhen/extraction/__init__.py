"""Videos to features and instances, live or from the cache."""
