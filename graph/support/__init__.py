"""The support workflow: everything about one contact, gathered at once, and the actions that may follow."""
