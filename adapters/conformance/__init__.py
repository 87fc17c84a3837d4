"""What each port promises, as tests: one suite per port, which every driver passes unchanged."""
