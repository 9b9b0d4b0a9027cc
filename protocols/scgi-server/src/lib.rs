//! A sans-IO SCGI codec.
