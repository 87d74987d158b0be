"""A trained network as an OpenVINO model, in float and in INT8."""
