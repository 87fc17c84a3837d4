"""The clouds: one folder each, found by listing. Each offers `provision(spec, adapters)`, which declares its resources."""
