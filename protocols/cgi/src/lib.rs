//! What FastCGI and SCGI share: RFC 3875 params, path rules and the response head.
