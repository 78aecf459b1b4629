//! The kernel's constants in the width of the fields they go into: the headers have them all in
//! 32 bits. What does not fit is an error of the compiler.

/// `value` in 16 bits.
#[expect(clippy::cast_possible_truncation, reason = "asserted to fit")]
pub(crate) const fn to_u16(value: u32) -> u16 {
    assert!(value <= u16::MAX as u32);
    value as u16
}

/// `value` in 8 bits.
#[expect(clippy::cast_possible_truncation, reason = "asserted to fit")]
pub(crate) const fn to_u8(value: u32) -> u8 {
    assert!(value <= u8::MAX as u32);
    value as u8
}
