//! Writing a head into memory of fixed size.

/// Appends to a fixed slice. What does not fit is left out and remembered, so that callers check once, at the end.
pub struct Writer<'a> {
    buf: &'a mut [u8],
    len: usize,
    overflowed: bool,
}

impl<'a> Writer<'a> {
    /// Begins at the front of `buf`.
    pub fn new(buf: &'a mut [u8]) -> Self {
        Writer { buf, len: 0, overflowed: false }
    }

    /// Appends bytes.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.claim(bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }

    /// Appends text.
    #[inline]
    pub fn put_str(&mut self, text: &str) {
        self.put(text.as_bytes());
    }

    /// Appends a number in decimal digits.
    pub fn put_u64(&mut self, number: u64) {
        self.put_str(itoa::Buffer::new().format(number));
    }

    /// Appends a number in lower-case hexadecimal digits.
    pub fn put_hex(&mut self, number: u64) {
        let mut digits = [0; HEX_DIGITS_MAX];
        let start = hex_before(&mut digits, HEX_DIGITS_MAX, number);
        self.put(&digits[start..]);
    }

    /// Appends one field line, bounds checked once.
    #[inline]
    pub fn put_field(&mut self, name: &str, value: &[u8]) {
        let (n, v) = (name.len(), value.len());
        if let Some(room) = self.claim(n + v + 4) {
            room[..n].copy_from_slice(name.as_bytes());
            room[n..n + 2].copy_from_slice(b": ");
            room[n + 2..n + 2 + v].copy_from_slice(value);
            room[n + 2 + v..].copy_from_slice(b"\r\n");
        }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    pub fn remaining(&self) -> usize {
        self.buf.len() - self.len
    }

    /// The bytes written, or `None` when something did not fit.
    pub fn finish(self) -> Option<usize> {
        (!self.overflowed).then_some(self.len)
    }

    /// After an overflow everything is refused: a shorter piece must not follow a missing one.
    #[inline]
    fn claim(&mut self, count: usize) -> Option<&mut [u8]> {
        if self.overflowed || count > self.remaining() {
            self.overflowed = true;
            return None;
        }
        let start = self.len;
        self.len += count;
        Some(&mut self.buf[start..start + count])
    }
}

/// Digits of the largest u64.
pub const HEX_DIGITS_MAX: usize = 16;

/// Writes `number` in hexadecimal so that its last digit is at `buf[end - 1]`; returns where the first one is.
/// The caller leaves `HEX_DIGITS_MAX` bytes free before `end`, or knows that the number is shorter.
pub fn hex_before(buf: &mut [u8], end: usize, mut number: u64) -> usize {
    let mut at = end;
    loop {
        at -= 1;
        buf[at] = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
        if number == 0 {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_appended_in_order() {
        let mut buf = [0; 64];
        let mut w = Writer::new(&mut buf);
        assert!(w.is_empty());
        w.put(b"a");
        w.put_str("b ");
        w.put_u64(u64::MAX);
        w.put_str(" ");
        w.put_hex(0);
        w.put_hex(0x1f);
        w.put_hex(u64::MAX);
        assert_eq!((w.len(), w.remaining()), (43, 21));
        assert_eq!(w.finish(), Some(43));
        assert_eq!(&buf[..43], b"ab 18446744073709551615 01fffffffffffffffff");
    }

    #[test]
    fn what_fits_exactly_is_no_overflow() {
        let mut buf = [0; 6];
        let mut w = Writer::new(&mut buf);
        w.put_field("a", b"b");
        assert_eq!(w.remaining(), 0);
        w.put(b"");
        assert_eq!(w.finish(), Some(6));
        assert_eq!(&buf, b"a: b\r\n");
    }

    #[test]
    fn an_overflow_is_remembered_and_nothing_follows_it() {
        for first in [&b"12345"[..], b"1234"] {
            let mut buf = [b'.'; 4];
            let mut w = Writer::new(&mut buf);
            w.put(first);
            w.put(b"x");
            w.put(b"");
            w.put_field("a", b"b");
            assert_eq!(w.finish(), None);
            assert!(!buf.contains(&b'x'));
        }
    }
}
