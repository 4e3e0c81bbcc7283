//! Blocks of 32 columns with one scale in f16: `w = d * (q - zero)`, and in the types of `_1` `w = d * q + m`.

use super::{Block, centered, half, nibbles};

/// 4 bits, zero at 8.
pub(super) fn q4_0(bytes: &[u8], block: &mut Block) {
    let (d, packed) = bytes.split_at(2);
    nibbles(packed, &mut block.integers[..32]);
    block.pairs[0] = centered(half(d), 8.0);
}

/// 4 bits and a minimum.
pub(super) fn q4_1(bytes: &[u8], block: &mut Block) {
    let (head, packed) = bytes.split_at(4);
    nibbles(packed, &mut block.integers[..32]);
    block.pairs[0] = (half(head), half(&head[2..]));
}

/// 5 bits, zero at 16: the fifth bits of all columns come first.
pub(super) fn q5_0(bytes: &[u8], block: &mut Block) {
    let (d, rest) = bytes.split_at(2);
    five_bits(rest, block);
    block.pairs[0] = centered(half(d), 16.0);
}

/// 5 bits and a minimum.
pub(super) fn q5_1(bytes: &[u8], block: &mut Block) {
    let (head, rest) = bytes.split_at(4);
    five_bits(rest, block);
    block.pairs[0] = (half(head), half(&head[2..]));
}

/// Signed bytes; stored with 128 more.
pub(super) fn q8_0(bytes: &[u8], block: &mut Block) {
    let (d, values) = bytes.split_at(2);
    for (integer, value) in block.integers.iter_mut().zip(values) {
        *integer = value ^ 128;
    }
    block.pairs[0] = centered(half(d), 128.0);
}

fn five_bits(bytes: &[u8], block: &mut Block) {
    let (fifth, packed) = bytes.split_at(4);
    nibbles(packed, &mut block.integers[..32]);
    for (col, integer) in block.integers[..32].iter_mut().enumerate() {
        *integer |= (fifth[col / 8] >> (col % 8) & 1) << 4;
    }
}
