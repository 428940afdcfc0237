//! Clients over HTTPS.

mod client;
mod faults;
mod floods;
mod frames;
mod serving;

pub(crate) use client::{Web, offering};
