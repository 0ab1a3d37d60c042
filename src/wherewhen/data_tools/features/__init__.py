"""Stores of features: other people's made ours, and two held side by side."""
