"""The routes of the page's server."""
