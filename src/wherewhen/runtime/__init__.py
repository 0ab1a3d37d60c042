"""What runs networks: weights, engines, devices, processes."""
