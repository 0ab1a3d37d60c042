"""Predictions compared with ground truth: tables, statistics, pages."""
