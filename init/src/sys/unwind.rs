//! The unwinder, of which there is none: a panic here aborts, and there are no tables to unwind by.
//!
//! The standard library would print a backtrace all the same, and so link an unwinder and a reader of
//! debug information: 190 KB that could only ever say that they know nothing. As what they begin with
//! is defined here and ends at once, the linker leaves them all out. The names and what they mean are
//! the Itanium C++ ABI's (exception handling, section 1.2 and on), as GCC extends it.

use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK`.
const END_OF_STACK: c_int = 5;

// SAFETY of each: nothing else in the program has this name, as the unwinder's object of these is not
// linked once they are defined; and an answer that says "nothing" is one that the callers know.

/// Calls `_each` for no frame at all.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_each: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

/// Where no frame is, so never asked.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetIPInfo(_context: *mut c_void, _before: *mut c_int) -> usize {
    0
}

/// The same.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetTextRelBase(_context: *mut c_void) -> usize {
    0
}

/// The same.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetDataRelBase(_context: *mut c_void) -> usize {
    0
}

/// The same; this and the next are asked only where nothing is optimized across crates.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetCFA(_context: *mut c_void) -> usize {
    0
}

/// The same.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_FindEnclosingFunction(_address: *mut c_void) -> *mut c_void {
    std::ptr::null_mut()
}
