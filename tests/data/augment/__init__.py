"""Changes of training samples against independent implementations."""
