//! Stored numbers to numbers in memory, without loss.

use bytemuck::Pod;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};

use super::safetensors::Dtype;

/// Appends the little-endian floats in `bytes` to `out`. Types other than F16 and BF16 are read as F32.
pub(crate) fn decode(dtype: Dtype, bytes: &[u8], out: &mut Vec<f32>) {
    match dtype {
        Dtype::F16 => {
            let start = extend_zeros(out, bytes.len() / 2);
            u16s(bytes).reinterpret_cast::<f16>().convert_to_f32_slice(&mut out[start..]);
        }
        Dtype::BF16 => {
            let start = extend_zeros(out, bytes.len() / 2);
            u16s(bytes).reinterpret_cast::<bf16>().convert_to_f32_slice(&mut out[start..]);
        }
        _ => extend_words(out, bytes),
    }
}

/// Appends the little-endian words in `bytes` to `out`, whose values have four bytes.
pub(crate) fn extend_words<T: Pod>(out: &mut Vec<T>, bytes: &[u8]) {
    let start = extend_zeros(out, bytes.len() / 4);
    let words: &mut [u8] = bytemuck::cast_slice_mut(&mut out[start..]);
    let whole = words.len();
    words.copy_from_slice(&bytes[..whole]);
    if cfg!(target_endian = "big") {
        words.as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse());
    }
}

/// Whether no little-endian number in `bytes` is infinite or not a number: integers never are. Types other than U32, F16
/// and BF16 are read as F32.
pub(crate) fn all_finite(dtype: Dtype, bytes: &[u8]) -> bool {
    // An exponent of ones alone stands for neither.
    let halves = |exponent: u16| {
        bytes.as_chunks().0.iter().all(|half| u16::from_le_bytes(*half) & exponent != exponent)
    };
    match dtype {
        Dtype::U32 => true,
        Dtype::F16 => halves(0x7c00),
        Dtype::BF16 => halves(0x7f80),
        _ => bytes.as_chunks().0.iter().all(|word| f32::from_le_bytes(*word).is_finite()),
    }
}

fn u16s(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks::<2>().0.iter().map(|half| u16::from_le_bytes(*half)).collect()
}

fn extend_zeros<T: Pod>(out: &mut Vec<T>, n: usize) -> usize {
    let start = out.len();
    out.resize(start + n, T::zeroed());
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_finite_or_not_as_its_type_says() {
        for bits in 0..=u16::MAX {
            let bytes = [0, 0, bits.to_le_bytes()[0], bits.to_le_bytes()[1]];
            for (dtype, expected) in [
                (Dtype::F16, f16::from_bits(bits).is_finite()),
                (Dtype::BF16, bf16::from_bits(bits).is_finite()),
                // The upper half of an f32.
                (Dtype::F32, bf16::from_bits(bits).is_finite()),
            ] {
                assert_eq!(all_finite(dtype, &bytes), expected, "{dtype:?} {bits:#06x}");
            }
        }
    }

    #[test]
    fn words_follow_those_that_are_there() {
        let mut words = vec![7u32];
        extend_words(&mut words, &[1, 0, 0, 0, 0, 0, 0, 128]);
        assert_eq!(words, [7, 1, 1 << 31]);
        let mut floats = Vec::new();
        for (dtype, bytes) in [
            (Dtype::F32, 1.5f32.to_le_bytes().to_vec()),
            (Dtype::F16, f16::from_f32(-2.0).to_le_bytes().to_vec()),
        ] {
            decode(dtype, &bytes, &mut floats);
        }
        assert_eq!(floats, [1.5, -2.0]);
    }
}
