"""The clouds: one folder each, found by listing, which composes drivers and their authentication."""
