"""Operations of Python and the command line: train, detect, evaluate, bench."""
