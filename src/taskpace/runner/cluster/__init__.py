"""One run on many machines: a driver deals out rounds and writes the run file, nodes measure."""
