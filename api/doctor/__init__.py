"""The go-live checklist as code: what is there, what is missing, and how to mend it."""
