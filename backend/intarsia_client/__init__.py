"""The thin client: what Krita, GIMP, the command line and scripts use to talk to the engine.

Standard library and pure-Python msgpack only, Python 3.8 or newer. Import the module you need:
``from intarsia_client.client import Client``. This file imports nothing on purpose, so that reading
a declaration never opens a socket.
"""
