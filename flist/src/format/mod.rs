//! The bytes of an flist: what is laid where, read and written.
