//! What a tensor must look like, checked against its header before its bytes are read.

use std::collections::HashSet;

use super::biases;
use super::names::{Field, Module, Name, Prefix, Role};
use crate::checkpoint::container::gguf::TensorType;
use crate::checkpoint::container::safetensors::{Dtype, TensorInfo};
use crate::error::{Error, Result};
use crate::model::config::{BitsAndGroup, Config};

/// How a tensor of the right shape is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spec {
    /// A norm's weight or a bias.
    Vector,
    /// Rows of floats.
    Floats,
    /// Rows of blocks as GGUF files have them.
    Blocks(TensorType),
    /// Rows of packed integers.
    Packed(BitsAndGroup),
    /// The scales or the biases of the groups.
    Groups(BitsAndGroup),
}

/// The tensors of a checkpoint by their place in the decoder, and those that are not needed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    used: HashSet<Name>,
    /// What the tensors' names begin with.
    pub(crate) prefix: Prefix,
    /// Names of known tensors that are passed over.
    pub(crate) surplus: Vec<String>,
    /// How many there are in all.
    pub(crate) num_tensors: usize,
    /// What a person should know about them.
    pub(crate) warnings: Vec<String>,
}

impl Contents {
    /// Sorts the names of all tensors; `file` is where they are listed. What only the file can say of the decoder is written
    /// into `config`: whether it has an output matrix of its own, and which projections have biases.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an unknown tensor, [`Error::Invalid`] for missing ones, and where the two contradict each
    /// other.
    pub(crate) fn check<'a>(
        file: &str,
        tensors: impl Iterator<Item = &'a str> + Clone,
        config: &mut Config,
    ) -> Result<Self> {
        let prefix = Prefix::find(tensors.clone(), &config.tensors);
        let mut contents = Self { prefix, ..Self::default() };
        for tensor in tensors {
            contents.num_tensors += 1;
            match Role::of(tensor, file, config, &contents.prefix)? {
                Role::Used(name) if contents.used.insert(name) => {}
                Role::Used(name) => {
                    let problem = format!("it is there twice as {}", name.path(config));
                    return Err(Error::invalid(file, tensor, problem, "Remove one of them from the file"));
                }
                Role::Surplus => contents.surplus.push(tensor.to_owned()),
            }
        }
        contents.rename_overrides(config);
        contents.settle_head(file, config)?;
        let is_there = |linear, block| contents.has(Module::Linear(block, linear), Field::Bias);
        contents.warnings.extend(biases::settle(file, config, is_there)?);
        contents.refuse_missing(file, config)?;
        Ok(contents)
    }

    /// `config.json` names modules as the file does.
    fn rename_overrides(&self, config: &mut Config) {
        let names = &config.tensors;
        if let Some(quantization) = &mut config.quantization {
            let overrides = std::mem::take(&mut quantization.overrides);
            // A module's name alone is not a tensor's, which the output matrix is known by.
            let canonical = |module: String| {
                let tensor = format!("{module}.");
                self.prefix.canonical(&tensor, names).trim_end_matches('.').to_owned()
            };
            quantization.overrides =
                overrides.into_iter().map(|(module, format)| (canonical(module), format)).collect();
        }
    }

    /// An output matrix in the file is used whatever `tie_word_embeddings` says, as transformers does; without one the
    /// configuration must say that the embedding is it.
    fn settle_head(&self, file: &str, config: &mut Config) -> Result<()> {
        let head = Name { module: Module::Head, field: Field::Weight };
        let is_there = self.used.contains(&head);
        if !is_there && !config.decoder.tied_embeddings {
            return Err(Error::invalid(
                file,
                head.path(config),
                "the tensor is missing, and config.json does not say that the output matrix is the embedding \
                 (tie_word_embeddings)",
                "Set tie_word_embeddings to true in config.json if the model shares its embedding; otherwise the weights are \
                 incomplete",
            ));
        }
        config.decoder.tied_embeddings = !is_there;
        Ok(())
    }

    fn has(&self, module: Module, field: Field) -> bool {
        self.used.contains(&Name { module, field })
    }

    /// Whether scales announce that a module's weight is quantised.
    fn is_quantized(&self, module: Module) -> bool {
        self.has(module, Field::Scales)
    }

    fn refuse_missing(&self, file: &str, config: &Config) -> Result<()> {
        let mut missing = Vec::new();
        for module in Module::all(config) {
            let quantized = self.is_quantized(module) || self.has(module, Field::Biases);
            for (field, needed) in [
                (Field::Weight, true),
                (Field::Bias, module.has_bias(config)),
                (Field::Scales, quantized),
                (Field::Biases, quantized),
            ] {
                if needed && !self.has(module, field) {
                    missing.push(Name { module, field });
                }
            }
        }
        let Some(first) = missing.first() else { return Ok(()) };
        let others = match missing.len() - 1 {
            0 => String::new(),
            n => format!(", and {n} other tensors are missing, too"),
        };
        Err(Error::invalid(
            file,
            first.path(config),
            format!("the tensor is missing{others}"),
            format!(
                "The weights are incomplete or belong to another model than {} says: download all again",
                config.described_by
            ),
        ))
    }
}

impl Spec {
    /// Checks a tensor's type and shape.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a dtype that is not read, [`Error::Invalid`] for a wrong shape.
    pub(crate) fn of(
        info: &TensorInfo,
        name: Name,
        contents: &Contents,
        file: &str,
        config: &Config,
    ) -> Result<Self> {
        let (rows, cols) = name.module.shape(config);
        let is_matrix = name.module.matrix().is_some();
        let (spec, shape) = match name.field {
            // A kernel over one channel each, or as MLX stores it.
            Field::Weight if matches!(name.module, Module::Convolution(_)) => {
                let one_last = info.shape.last() == Some(&1) && cols != 1;
                (Self::Vector, if one_last { vec![rows, cols, 1] } else { vec![rows, 1, cols] })
            }
            Field::Weight if !is_matrix => (Self::Vector, vec![cols]),
            Field::Bias => (Self::Vector, vec![rows]),
            Field::Weight if contents.is_quantized(name.module) => {
                let format = quantization(info, name, cols, file, config)?;
                (Self::Packed(format), vec![rows, cols * format.bits as usize / 32])
            }
            Field::Weight => (Self::Floats, vec![rows, cols]),
            Field::Scales | Field::Biases => {
                let format = quantization(info, name, cols, file, config)?;
                (Self::Groups(format), vec![rows, cols / format.group_size as usize])
            }
        };
        let dtype_fits = match spec {
            Self::Packed(_) => info.dtype == Dtype::U32,
            _ => matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16),
        };
        if !dtype_fits {
            return Err(Error::unsupported(
                file,
                format!("the dtype {} of tensor {}", info.dtype, info.name),
                "Use a checkpoint in F32, F16, BF16 or quantised by MLX",
            ));
        }
        if !info.shape.iter().copied().eq(shape.iter().map(|n| *n as u64)) {
            return Err(Error::invalid(
                file,
                &info.name,
                format!("its shape is {:?}, by config.json it should be {shape:?}", info.shape),
                "The weights belong to another config.json: download both again",
            ));
        }
        Ok(spec)
    }
}

/// How config.json says that a module is quantised.
fn quantization(
    info: &TensorInfo,
    name: Name,
    cols: usize,
    file: &str,
    config: &Config,
) -> Result<BitsAndGroup> {
    let invalid = |problem: String| {
        Error::invalid(
            file,
            &info.name,
            problem,
            "The weights belong to another config.json: download both again",
        )
    };
    let format = config
        .quantization
        .as_ref()
        .and_then(|quantization| quantization.of(&name.module.path(config)))
        .ok_or_else(|| invalid("it is quantised, but config.json has no `quantization` for it".to_owned()))?;
    if cols.is_multiple_of(format.group_size as usize) {
        Ok(format)
    } else {
        Err(invalid(format!("its {cols} columns do not split into groups of {}", format.group_size)))
    }
}
