//! Shaders as text: a kernel file, the library pieces that it is completed by, and the constants of one use.
//!
//! The files under `shaders/` are plain WGSL. A kernel calls functions that a piece provides - `quad` of a weight
//! format, `finish` of an epilogue - and there are several pieces with the same interface; choosing them and the
//! constants makes a [`Shader`]; `cargo xtask shader` prints one. Which buffers it binds is read from the finished text, so that host and
//! shader cannot drift apart.

use std::fmt::{Display, Formatter, Write};
use std::str::FromStr;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::options::load::TIER;

/// A file under `shaders/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Piece {
    /// Path below `shaders/`, without the extension.
    pub name: &'static str,
    /// The text.
    pub wgsl: &'static str,
}

impl Piece {
    /// Whether it uses the language extension `f16`.
    pub fn uses_f16(&self) -> bool {
        USE_F16.contains(self)
    }

    /// Whether it uses the language extension `subgroups`.
    pub fn uses_subgroups(&self) -> bool {
        USE_SUBGROUPS.contains(self)
    }
}

/// Declares the embedded files, and the list of all of them.
macro_rules! pieces {
    ($($name:ident = $path:literal;)*) => {
        $(pub(crate) const $name: Piece =
            Piece { name: $path, wgsl: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path, ".wgsl")) };)*

        /// Every embedded file.
        pub const PIECES: &[Piece] = &[$($name),*];
    };
}

pieces! {
    BATCH = "lib/batch";
    BATCH_READ = "lib/batch_read";
    SCORE = "lib/score";
    PART = "lib/part";
    FLOATS = "lib/floats";
    WEIGHTS_F32 = "lib/weights_f32";
    WEIGHTS_F16 = "lib/weights_f16";
    WEIGHTS_BF16 = "lib/weights_bf16";
    AFFINE = "lib/affine";
    AFFINE_CHUNK = "lib/affine_chunk";
    WORDS2 = "lib/words2";
    WORDS4 = "lib/words4";
    WEIGHTS_AFFINE = "lib/weights_affine";
    WEIGHTS_AFFINE4 = "lib/weights_affine4";
    WEIGHTS_AFFINE8 = "lib/weights_affine8";
    INT8_AFFINE = "lib/int8_affine";
    LARGE_TILE = "lib/large_tile";
    SCALES_F32 = "lib/scales_f32";
    SCALES_F16 = "lib/scales_f16";
    SCALES_BF16 = "lib/scales_bf16";
    REDUCE_TREE = "lib/reduce_tree";
    REDUCE_SUBGROUP = "lib/reduce_subgroup";
    INPUT_PLAIN = "lib/input_plain";
    INPUT_NORMED = "lib/input_normed";
    INPUT_COMBINED = "lib/input_combined";
    SPLIT = "lib/split";
    WINDOW_FULL = "lib/window_full";
    WINDOW_SLIDING = "lib/window_sliding";
    WINDOW_CHUNKED = "lib/window_chunked";
    SLOTS_LINE = "lib/slots_line";
    SLOTS_RING = "lib/slots_ring";
    BIAS = "lib/bias";
    BIAS_NONE = "lib/bias_none";
    ROTARY = "lib/rotary";
    ROTARY_NONE = "lib/rotary_none";
    HEADS = "lib/heads";
    HEAD_WEIGHT = "lib/head_weight";
    HEAD_WEIGHT_NONE = "lib/head_weight_none";
    TEMPERATURE = "lib/temperature";
    TEMPERATURE_NONE = "lib/temperature_none";
    SILU = "lib/silu";
    GELU_TANH = "lib/gelu_tanh";
    CACHE_WRITE_F32 = "lib/cache_write_f32";
    CACHE_WRITE_F16 = "lib/cache_write_f16";
    CACHE_READ_F32 = "lib/cache_read_f32";
    CACHE_READ_F16 = "lib/cache_read_f16";
    CACHE_OCTETS_F32 = "lib/cache_octets_f32";
    CACHE_OCTETS_F16 = "lib/cache_octets_f16";
    EPILOGUE_WRITE = "epilogue/write";
    EPILOGUE_LOGITS = "epilogue/logits";
    EPILOGUE_ADD = "epilogue/add";
    EPILOGUE_GATED = "epilogue/gated";
    EPILOGUE_ROTATE = "epilogue/rotate";
    EPILOGUE_ROTATE_AND_CACHE = "epilogue/rotate_and_cache";
    SAMPLE_SLICES = "sample/slices";
    SAMPLE_CHOOSE = "sample/choose";
    EMBED_THREAD = "embed/thread";
    RMS_NORM_THREAD = "rms_norm/thread";
    RMS_NORM_WORKGROUP = "rms_norm/workgroup";
    MATMUL_THREAD = "matmul/thread";
    MATMUL_VECTOR = "matmul/vector";
    MATMUL_TILED = "matmul/tiled";
    MATMUL_TILED_F16 = "matmul/tiled_f16";
    MATMUL_TILED_INT8 = "matmul/tiled_int8";
    ATTENTION_THREAD = "attention/thread";
    ATTENTION_SPLIT = "attention/split";
    ATTENTION_TILED = "attention/tiled";
    ROTATE_AND_CACHE_THREAD = "rotate_and_cache/thread";
    ROTATE_AND_CACHE_WORKGROUP = "rotate_and_cache/workgroup";
    ADD_NORMED_THREAD = "add_normed/thread";
    ADD_NORMED_WORKGROUP = "add_normed/workgroup";
    CONVOLVE_THREAD = "convolve/thread";
}

/// The pieces that use the language extension `f16`.
const USE_F16: &[Piece] = &[MATMUL_TILED_F16];

/// The pieces that use the language extension `subgroups`.
const USE_SUBGROUPS: &[Piece] = &[REDUCE_SUBGROUP, MATMUL_TILED_F16];

/// Which kernels a device runs. Each tier may use everything that the ones before it use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// No barriers and no workgroup memory: one thread an output pair. For adapters that are a CPU underneath,
    /// where a workgroup barrier is ruinous.
    Software,
    /// Workgroup memory and barriers; needs no optional feature.
    Portable,
    /// Sums by exchanging registers inside subgroups; needs the feature `subgroups`.
    Subgroups,
    /// Multiplies prompts in half precision, and sums in single; needs the feature `shader-f16` too.
    F16,
}

/// The smallest subgroup that kernels are made for; devices with smaller ones get no tier above
/// [`Tier::Portable`].
pub(super) const MIN_SUBGROUP: usize = 4;

/// Whose WGSL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// naga's, in native wgpu. It refuses `enable subgroups;`, though it has subgroups.
    Naga,
    /// A browser's, which demands it.
    Browser,
}

impl Dialect {
    /// That of the platform this is compiled for.
    pub const CURRENT: Self = if cfg!(target_arch = "wasm32") { Self::Browser } else { Self::Naga };
}

impl Tier {
    /// All tiers, lowest first.
    pub const ALL: &[Self] = &[Self::Software, Self::Portable, Self::Subgroups, Self::F16];

    /// The name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Portable => "portable",
            Self::Subgroups => "subgroups",
            Self::F16 => "f16",
        }
    }

    /// The tier before this one, which demands less of a device.
    pub fn lower(self) -> Option<Self> {
        Self::ALL.iter().copied().take_while(|tier| *tier < self).last()
    }
}

impl FromStr for Tier {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|tier| tier.name() == name);
        found.ok_or_else(|| TIER.not_a_word(name))
    }
}

/// A buffer that kernels bind, by its binding number in the WGSL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binding {
    /// The uniform of `lib/batch`.
    Batch,
    /// The uniform of `lib/part`.
    Part,
    /// Packed words of a matrix.
    Weights,
    /// Scales and biases of a quantised matrix.
    Scales,
    /// Weight of an RMSNorm; of that of queries, where keys have their own.
    NormWeight,
    /// Bias of a projection.
    Bias,
    /// Activations that are read.
    Input,
    /// Activations that are written.
    Output,
    /// A cache.
    Cache,
    /// A rotary table.
    Rotary,
    /// The uniform of `lib/score`.
    Sampling,
    /// What changes the scores of single tokens.
    Adjustments,
    /// The best token of each slice of the vocabulary.
    Bests,
    /// Largest score and weight of each split of attention.
    Stats,
    /// Weight of the RMSNorm of keys.
    KeyNorm,
    /// Weights of a convolution.
    Taps,
}

impl Binding {
    const ALL: [Self; 16] = [
        Self::Batch,
        Self::Part,
        Self::Weights,
        Self::Scales,
        Self::NormWeight,
        Self::Bias,
        Self::Input,
        Self::Output,
        Self::Cache,
        Self::Rotary,
        Self::Sampling,
        Self::Adjustments,
        Self::Bests,
        Self::Stats,
        Self::KeyNorm,
        Self::Taps,
    ];

    /// Its number in `@binding(..)`.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// How a shader uses a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<uniform>`.
    Uniform,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
}

/// The value of a constant that is put before the pieces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant {
    /// `u32`.
    U32(u32),
    /// `f32`.
    F32(f32),
    /// `bool`.
    Bool(bool),
}

impl From<usize> for Constant {
    fn from(value: usize) -> Self {
        Self::U32(value as u32)
    }
}

impl From<f32> for Constant {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

impl From<bool> for Constant {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl Display for Constant {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::U32(value) => write!(f, ": u32 = {value}u"),
            // Written shortest, the largest would lie beyond f32, and browsers refuse what does.
            Self::F32(value) if value.abs() == f32::MAX => write!(f, ": f32 = {:e}f", f64::from(*value)),
            // Scientific notation is the shortest that both reads as a float and loses no bit.
            Self::F32(value) => write!(f, ": f32 = {value:e}f"),
            Self::Bool(value) => write!(f, ": bool = {value}"),
        }
    }
}

/// A kernel, completed.
#[derive(Debug, Clone, PartialEq)]
pub struct Shader {
    kernel: Piece,
    constants: Vec<(&'static str, Constant)>,
    pieces: Vec<Piece>,
}

impl Shader {
    /// Starts from a kernel file; it always sees the batch, of at most `max_batch` tokens.
    pub(crate) fn new(kernel: Piece, max_batch: usize) -> Self {
        Self::advancing(kernel, max_batch).piece(BATCH_READ)
    }

    /// Starts from a kernel file that itself declares the batch, because it writes it.
    pub(crate) fn advancing(kernel: Piece, max_batch: usize) -> Self {
        Self { kernel, constants: Vec::new(), pieces: vec![BATCH] }.constant("MAX_BATCH", max_batch)
    }

    /// Adds a constant.
    pub(crate) fn constant(mut self, name: &'static str, value: impl Into<Constant>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    /// Adds a library piece.
    pub(crate) fn piece(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }

    /// The kernel's name, such as `matmul/thread`. What stands before the slash is the name of its CPU twin.
    pub fn name(&self) -> &'static str {
        self.kernel.name
    }

    /// Whether it was made from this kernel file.
    pub(super) fn is(&self, kernel: Piece) -> bool {
        self.kernel == kernel
    }

    /// The library pieces, by name.
    pub fn pieces(&self) -> impl Iterator<Item = &'static str> {
        self.pieces.iter().map(|piece| piece.name)
    }

    /// The finished text.
    pub fn wgsl(&self, dialect: Dialect) -> String {
        let mut text = String::new();
        if self.any(Piece::uses_f16) {
            text.push_str("enable f16;\n");
        }
        if dialect == Dialect::Browser && self.any(Piece::uses_subgroups) {
            text.push_str("enable subgroups;\n");
        }
        for (name, value) in &self.constants {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "const {name}{value};");
        }
        for piece in self.pieces.iter().chain([&self.kernel]) {
            text.push('\n');
            text.push_str(piece.wgsl);
        }
        text
    }

    fn any(&self, of: fn(&Piece) -> bool) -> bool {
        self.pieces.iter().chain([&self.kernel]).any(of)
    }

    /// The bindings, in the order of the text.
    pub fn bindings(&self) -> Vec<(Binding, Access)> {
        self.pieces
            .iter()
            .chain([&self.kernel])
            .flat_map(|piece| piece.wgsl.lines().filter_map(binding))
            .collect()
    }
}

/// Reads a line such as `@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;`.
fn binding(line: &str) -> Option<(Binding, Access)> {
    let (number, rest) = line.strip_prefix("@group(0) @binding(")?.split_once(')')?;
    let binding = *Binding::ALL.get(number.parse::<usize>().ok()?)?;
    let (space, _) = rest.trim_start().strip_prefix("var<")?.split_once('>')?;
    let access = match space {
        "uniform" => Access::Uniform,
        "storage, read" => Access::Read,
        "storage, read_write" => Access::ReadWrite,
        _ => return None,
    };
    Some((binding, access))
}

#[cfg(test)]
mod tests {
    use super::Constant;

    /// Chromium reads a double and rounds it, but refuses one beyond the largest f32.
    #[test]
    fn constants_are_read_through_a_double_to_the_bit() {
        for value in [f32::MIN, f32::MAX, f32::MIN_POSITIVE, 1e-5, 0.1, 17.4, 16_777_216.0] {
            let text = Constant::F32(value).to_string();
            let number = text.strip_prefix(": f32 = ").and_then(|text| text.strip_suffix('f')).unwrap();
            let number: f64 = number.parse().unwrap();
            assert!(number.abs() <= f64::from(f32::MAX), "{text}");
            assert_eq!(number as f32, value, "{text}");
        }
    }
}
