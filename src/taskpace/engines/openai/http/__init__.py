"""HTTP/1.1 for measuring: a client that stamps every arrival in the socket's own read callback."""
