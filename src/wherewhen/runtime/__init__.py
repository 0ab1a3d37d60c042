"""Running networks: weights, engines, devices, processes."""
