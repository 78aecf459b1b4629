//! Any contents of columns in a sound frame are refused or give an image that answers everything.
#![no_main]

use flist::format::testing::{exercise, file_of_columns};

libfuzzer_sys::fuzz_target!(|columns: &[u8]| drop(exercise(&file_of_columns(columns))));
