"""The server: live streams in, predictions out to browsers."""
