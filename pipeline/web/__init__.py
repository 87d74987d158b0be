"""The page and the API of the web server."""
