//! The options of a load. The npm package writes their names in camel case.

use super::{Limits, OptionSpec, UNSAID, Values, both, range};

/// All options of a load that every surface has, in the order in which they are listed.
pub const ALL: [&OptionSpec; 6] =
    [&BACKEND, &WEIGHTS, &TIER, &INT8_TILES, &MAX_CONTEXT, &IGNORE_CONFIG_FIELDS];

/// Where to compute.
pub const BACKEND: OptionSpec = OptionSpec {
    name: "backend",
    values: Values::Word(&["auto", "gpu", "cpu"]),
    about: "Backend. auto uses the GPU if a hardware GPU works, and the CPU otherwise.",
    default: both("auto"),
};

/// Number format of the weights in memory.
pub const WEIGHTS: OptionSpec = OptionSpec {
    name: "weights",
    values: Values::Word(&["auto", "stored", "f32", "f16", "q8", "q4"]),
    about: "Number format of the weights in memory. They are converted while they arrive. stored keeps the format of the \
            checkpoint; auto does too, but converts large float checkpoints to 8 bits.",
    default: both("auto"),
};

/// Which GPU kernels to use.
pub const TIER: OptionSpec = OptionSpec {
    name: "tier",
    values: Values::Word(&["software", "portable", "subgroups", "f16"]),
    about: "Force a tier of GPU kernels, for tests and measurements. A tier that the GPU does not support is an error.",
    default: both("the highest that the GPU supports"),
};

/// Which products prefill uses on the GPU.
pub const INT8_TILES: OptionSpec = OptionSpec {
    name: "int8_tiles",
    values: Values::Switch,
    about: "Use 8-bit integer products for prefill on the GPU, for weights of 4 or 8 bits. Without a choice the engine measures \
            which is faster, so its choice may change between starts, and the text with it.",
    default: UNSAID,
};

/// Maximum positions of a session. Its flag is `--context`.
pub const MAX_CONTEXT: OptionSpec = OptionSpec {
    name: "max_context",
    values: Values::Whole(Limits {
        engine: range(1.0, u32::MAX as f64),
        package: range(1.0, i32::MAX as f64),
    }),
    about: "Maximum context in tokens, for which memory is reserved.",
    default: both("the maximum of the model, at most 4096"),
};

/// Unknown fields of `config.json` to accept. Its flag is `--ignore-config-field`.
pub const IGNORE_CONFIG_FIELDS: OptionSpec = OptionSpec {
    name: "ignore_config_fields",
    values: Values::Strings,
    about: "Ignore a field of config.json that the engine does not know. It refuses unknown fields, because they may change \
            what the model computes.",
    default: UNSAID,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::gpu::Tier;
    use crate::checkpoint::load::WeightFormat;
    use crate::engine::BackendChoice;

    #[test]
    fn the_words_are_those_of_the_engine() {
        assert_eq!(BACKEND.words(), BackendChoice::ALL.map(BackendChoice::name));
        assert_eq!(WEIGHTS.words(), WeightFormat::ALL.map(WeightFormat::name));
        assert!(TIER.words().iter().copied().eq(Tier::ALL.iter().map(|tier| tier.name())));
    }

    #[test]
    fn the_words_for_a_default_match_the_default() {
        assert_eq!(BACKEND.default.package, BackendChoice::default().name());
        assert_eq!(WEIGHTS.default.package, WeightFormat::default().name());
    }
}
