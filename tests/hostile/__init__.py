"""What the model server withstands: being taken at its word, malformed requests, slow clients, overload, leaving.

Real server processes on Unix sockets. The sample of each is part of `make test`; `make test-hostile` takes its time.
And what a whole platform withstands at each of its listeners: `make test-fuzz`, with its sample in `tests/e2e`.
"""
