"""Detection by OpenVINO."""
