"""What the model server withstands: being taken at its word, malformed requests, slow clients, overload, leaving.

Real server processes on Unix sockets. The sample of each is part of `make test`; `make test-hostile` takes its time.
"""
