"""What learns from labels on whole videos, one file each."""
