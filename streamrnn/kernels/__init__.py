"""Every compiled function of the library, and only those; one cell or algorithm a file."""
