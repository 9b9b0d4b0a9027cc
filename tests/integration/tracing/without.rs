//! A flupd that was built without OpenTelemetry says so.

use crate::harness::app;
use crate::harness::flupd::Serve;

#[test]
fn the_option_says_how_to_build_it() {
    let serve = Serve::app(&app("echo.py")).args(["--otlp", "http://127.0.0.1:4318"]);
    let (status, said) = serve.refused();
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("--otlp can't be used: this flupd was built without OpenTelemetry"));
    assert!(said.contains("make install FEATURES=opentelemetry"), "{said}");
}
