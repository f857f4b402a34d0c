module loopdiag

go 1.24
