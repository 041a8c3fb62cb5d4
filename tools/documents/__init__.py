"""Business documents as other companies exchange them: read carefully, written to the letter of their standard."""
