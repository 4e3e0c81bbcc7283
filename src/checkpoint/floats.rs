//! Stored floats to f32, without loss.

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
        _ => out.extend(u32s(bytes).map(f32::from_bits)),
    }
}

/// The little-endian words in `bytes`.
pub(crate) fn u32s(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
}

fn u16s(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks::<2>().0.iter().map(|half| u16::from_le_bytes(*half)).collect()
}

fn extend_zeros(out: &mut Vec<f32>, n: usize) -> usize {
    let start = out.len();
    out.resize(start + n, 0.0);
    start
}
