"""What Python and the command line call: train, detect, evaluate, bench."""
