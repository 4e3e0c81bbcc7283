//! The inputs of a shader: the sizes and formats of a model, and the features of a device.

use std::collections::HashMap;
use std::fmt::{Display, Formatter};

use clap::ValueEnum;
use mobilellm::backend::gpu::plan::{Plan, Target};
use mobilellm::backend::gpu::{CacheFormat, Layout, Tier};
use mobilellm::measure::bench::Shape;
use mobilellm::model::matrix::{Affine, Format, ScaleFormat};
use mobilellm::model::network::Network;

/// Bytes per binding that WebGPU guarantees on every device.
const MAX_BINDING: u64 = 128 << 20;

/// Format of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Weights {
    /// Single precision
    F32,
    /// Half precision
    F16,
    /// bfloat16
    Bf16,
    /// Integers of 4 bits
    Q4,
    /// Integers of 8 bits
    Q8,
}

/// Format of the scales and biases of integer weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scales {
    /// Single precision
    F32,
    /// Half precision
    F16,
    /// bfloat16
    Bf16,
}

/// Options of the model and the device.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A published shape, such as mobilellm-350m, or LAYERSxHIDDEN
    #[arg(long, default_value = "mobilellm-125m")]
    shape: String,
    /// Columns that share a scale, for integer weights: 32, 64 or 128
    #[arg(long, default_value_t = 64, value_parser = power_of_two::<32, 128>)]
    group_size: usize,
    /// Format of the scales
    #[arg(long, value_enum, default_value_t = Scales::F16)]
    scales: Scales,
    /// Threads in the smallest subgroup of the device: a power of two from 4 to 128
    #[arg(long, default_value_t = 32, value_parser = power_of_two::<4, 128>)]
    subgroup_size: usize,
}

/// A power of two in a range.
fn power_of_two<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number) && number.is_power_of_two());
    number.ok_or_else(|| format!("it must be a power of two from {MIN} to {MAX}"))
}

/// The inputs that differ between plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) tier: Tier,
    pub(crate) weights: Weights,
    pub(crate) int8_tiles: bool,
}

/// The setting as flags, without the weights.
impl Display for Setting {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let int8_tiles = if self.int8_tiles { " --int8-tiles" } else { "" };
        write!(f, "--tier {}{int8_tiles}", self.tier.name())
    }
}

/// A network and its options.
pub(crate) struct Model<'a> {
    network: Network,
    options: &'a Options,
}

impl<'a> Model<'a> {
    pub(crate) fn new(options: &'a Options) -> Result<Self, String> {
        let config = Shape::parse(&options.shape).and_then(|shape| shape.config());
        Ok(Self { network: Network::new(config.map_err(|error| error.to_string())?), options })
    }

    /// The calls of the network, lowered as in the engine.
    pub(crate) fn plan(&self, setting: Setting) -> Result<Plan, String> {
        let format = self.format(setting.weights);
        let mut layouts = HashMap::new();
        for (id, rows, cols) in self.network.matrices() {
            if let Format::Affine(Affine { group_size, .. }) = format
                && !cols.is_multiple_of(group_size as usize)
            {
                return Err(format!(
                    "{id:?} has rows of {cols} values, which are no whole groups of {group_size}: choose another \
                     --group-size or --shape"
                ));
            }
            let layout = Layout::new(rows, cols, format, MAX_BINDING).map_err(|error| error.to_string())?;
            layouts.insert(id, layout);
        }
        let cache = CacheFormat::for_weights([format]);
        let target = Target::new(setting.tier, cache, self.options.subgroup_size, setting.int8_tiles);
        Plan::new(&self.network, &layouts, target).map_err(|error| error.to_string())
    }

    fn format(&self, weights: Weights) -> Format {
        let affine = |bits| {
            let scales = match self.options.scales {
                Scales::F32 => ScaleFormat::F32,
                Scales::F16 => ScaleFormat::F16,
                Scales::Bf16 => ScaleFormat::Bf16,
            };
            Format::Affine(Affine { bits, group_size: self.options.group_size as u32, scales })
        };
        match weights {
            Weights::F32 => Format::F32,
            Weights::F16 => Format::F16,
            Weights::Bf16 => Format::Bf16,
            Weights::Q4 => affine(4),
            Weights::Q8 => affine(8),
        }
    }
}
