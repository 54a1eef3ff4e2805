"""Benchmarks: zmqsec beside its named peers, interleaved in one run, as medians, spreads and ratios."""
