//! Where gateway and worker meet.
