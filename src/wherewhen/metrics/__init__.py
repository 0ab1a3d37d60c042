"""Numbers that judge, one family a file; pure functions over predictions and truths."""
