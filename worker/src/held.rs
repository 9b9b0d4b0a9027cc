//! The interpreter, held from one request to the next: to let go of it and to take
//! it again costs more than most of what the gateway does between two.
#![allow(unsafe_code)]

use pyo3::ffi;

/// What one thread holds, or not. What it has taken, it has to let go itself.
#[derive(Debug, Default)]
pub(crate) struct Held(Option<ffi::PyGILState_STATE>);

impl Held {
    /// Whether it is held.
    pub(crate) const fn is(&self) -> bool {
        self.0.is_some()
    }

    /// Takes it, if it is not held; waits for who has it.
    pub(crate) fn take(&mut self) {
        // SAFETY: The interpreter runs: its main thread has called us.
        self.0.get_or_insert_with(|| unsafe { ffi::PyGILState_Ensure() });
    }

    /// Others may have it, if it is held. Before each wait.
    pub(crate) fn let_go(&mut self) {
        if let Some(state) = self.0.take() {
            // SAFETY: It is what this thread was given when it took the interpreter.
            unsafe { ffi::PyGILState_Release(state) };
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.let_go();
    }
}
