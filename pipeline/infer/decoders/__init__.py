"""From the numbers of a network to detections, one module a family."""
