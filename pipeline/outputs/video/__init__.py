"""Video files with the overlay."""
