//! What flupd can be told to do.

pub mod check;
pub mod gateway;
pub mod order;
pub mod request;
pub mod run;
pub mod serve;
pub mod status;
pub mod top;
