"""What runs a network: the same module, as fast as the machine allows."""
