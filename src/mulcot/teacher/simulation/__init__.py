"""The simulated teacher: what it reads in a request, what it answers, and the HTTP server it answers from."""
