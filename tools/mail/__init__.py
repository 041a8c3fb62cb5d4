"""Mail to and from suppliers: composed so that nothing can be slipped into it, sent once, read as data."""
