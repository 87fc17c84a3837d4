"""Pulumi resource providers of our own: one gRPC base, the local machine, and the rehearsed clouds."""
