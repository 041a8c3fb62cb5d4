"""Prompt files by agent and version. No agent of this release asks a language model; the first prompts come with the first that does."""
