"""What an environment is made of: the specification, the clouds that translate it, and the providers that make it."""
