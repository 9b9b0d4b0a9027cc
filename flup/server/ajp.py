"""There is no AJP: flupd speaks FastCGI and SCGI."""

raise ImportError(
    "flupd's flup has no AJP server; use flup.server.fcgi or flup.server.scgi, which take the "
    "same application (Apache: mod_proxy_fcgi or mod_proxy_scgi instead of mod_proxy_ajp)"
)
