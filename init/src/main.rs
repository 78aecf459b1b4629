//! The program. All of it is in the library, so that the fuzz targets of `fuzz/` can reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    init::main()
}
