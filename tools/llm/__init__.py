"""Language models behind one port: any OpenAI-compatible provider, bounded in time, attempts and money. See ``Gateway``."""
