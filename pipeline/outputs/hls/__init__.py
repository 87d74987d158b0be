"""Live streams for HLS players."""
