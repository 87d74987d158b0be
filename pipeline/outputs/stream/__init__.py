"""Streams published to an RTSP server."""
