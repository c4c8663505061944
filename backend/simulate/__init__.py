"""Replay strategies on data that has labels, before anyone spends money."""
