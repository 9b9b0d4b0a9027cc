//! The Python side of flupd: runs a WSGI app inside the user's own interpreter.
