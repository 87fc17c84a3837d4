"""Pure types that every context shares: no I/O, no torch, no adapters. Import its modules directly."""
