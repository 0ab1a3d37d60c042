"""Stores of features: import of other tools' files, and comparison of two stores."""
