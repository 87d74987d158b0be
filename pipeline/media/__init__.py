"""Work on codecs and containers that capture and outputs share."""
