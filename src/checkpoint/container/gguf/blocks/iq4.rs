//! 4 bits that choose from a table of sixteen signed bytes. The table's bytes are stored, with 128 more.

use super::{Block, centered, half, nibbles};

/// The values of the format.
const TABLE: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// 32 columns, one scale.
pub(super) fn iq4_nl(bytes: &[u8], block: &mut Block) {
    let (d, packed) = bytes.split_at(2);
    look_up(packed, &mut block.integers[..32]);
    block.pairs[0] = centered(half(d), 128.0);
}

/// 256 columns in eight groups, whose scales are `d` times 6 bits, zero at 32: four bits of each lie together, two apart.
pub(super) fn iq4_xs(bytes: &[u8], block: &mut Block) {
    let (head, packed) = bytes.split_at(8);
    let d = half(head);
    let high = u16::from_le_bytes([head[2], head[3]]);
    for (group, (packed, integers)) in
        packed.chunks_exact(16).zip(block.integers.chunks_exact_mut(32)).enumerate()
    {
        look_up(packed, integers);
        let low = head[4 + group / 2] >> (4 * (group % 2)) & 15;
        let scale = u16::from(low) | (high >> (2 * group) & 3) << 4;
        block.pairs[group] = centered(d * (f32::from(scale) - 32.0), 128.0);
    }
}

fn look_up(packed: &[u8], integers: &mut [u8]) {
    nibbles(packed, integers);
    for integer in integers {
        *integer = TABLE[usize::from(*integer & 15)].cast_unsigned() ^ 128;
    }
}
