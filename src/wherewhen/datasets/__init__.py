"""Data sets, one file each: labels for training, truth for evaluation."""
