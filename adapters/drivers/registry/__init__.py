"""Model registries. `objects` keeps one in any object storage that has compare-and-swap: docs/registry.md."""
