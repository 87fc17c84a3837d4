"""One file per claim: this project and its peers, measured in one run, losses included. `make bench WHICH=storage`."""
