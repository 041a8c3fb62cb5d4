"""The console's pages, one module each: the routes and what the template is given."""
