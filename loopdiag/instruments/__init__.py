"""What runs inside the observed process: standard library only, importing nothing else of loopdiag."""
