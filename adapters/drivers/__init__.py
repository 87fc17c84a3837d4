"""Drivers, one folder per port: how one kind of server keeps the port's promises."""
