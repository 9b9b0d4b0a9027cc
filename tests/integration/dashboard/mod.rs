//! The status listener for people: `/status.json`, and the dashboard in a real browser.

mod look;
mod page;
mod picture;
mod report;
mod site;
