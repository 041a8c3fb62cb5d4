"""The web console at ``/console``: pages that work without scripts, for people who look at them all day. See docs/console.md."""
