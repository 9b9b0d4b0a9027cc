//! A sans-IO FastCGI 1.0 codec.
