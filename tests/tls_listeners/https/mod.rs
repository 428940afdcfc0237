//! Clients over HTTPS.

mod client;
mod faults;
mod floods;
mod frames;
mod serving;
