"""What the web server answers, one module a part."""
