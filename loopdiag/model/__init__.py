"""The nouns: frozen values without a clock, a socket, a file or numpy."""
