"""Benchmarks of the running product, printed with machine, versions and seed."""
