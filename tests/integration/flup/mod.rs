//! flup on flupd: scripts that were written for flup, unchanged.

mod callers;
mod package;
