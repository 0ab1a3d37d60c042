"""Pictures to features, one file each."""
