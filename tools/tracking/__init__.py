"""Tracking as carriers' aggregators tell it, read into one language."""
