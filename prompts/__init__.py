"""Prompt files by prompt and version, each with a manifest, and the library that verifies all of them; see README.md."""
