//! The dashboard: a page for people, in files that the binary contains.

/// A file of it.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Its content type.
    pub kind: &'static str,
    /// What is in it.
    pub text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The file at this path.
#[must_use]
pub fn file(path: &str) -> Option<File> {
    let (kind, text) = match path {
        "/" => (HTML, include_str!("dashboard/index.html")),
        "/dashboard/style.css" => (CSS, include_str!("dashboard/style.css")),
        "/dashboard/icon.svg" => (SVG, include_str!("dashboard/icon.svg")),
        "/dashboard/main.js" => (JAVASCRIPT, include_str!("dashboard/main.js")),
        "/dashboard/history.js" => (JAVASCRIPT, include_str!("dashboard/history.js")),
        "/dashboard/chart.js" => (JAVASCRIPT, include_str!("dashboard/chart.js")),
        "/dashboard/requests.js" => (JAVASCRIPT, include_str!("dashboard/requests.js")),
        "/dashboard/workers.js" => (JAVASCRIPT, include_str!("dashboard/workers.js")),
        "/dashboard/text.js" => (JAVASCRIPT, include_str!("dashboard/text.js")),
        _ => return None,
    };
    Some(File { kind, text })
}
