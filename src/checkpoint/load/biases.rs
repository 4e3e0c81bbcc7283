//! Which projections of the decoder have biases: `config.json` announces them, the file has them or not.

use super::names::{Field, Linear, Module, Name};
use crate::error::{Error, Result};
use crate::model::config::Config;

/// Compares what is announced with what `is_there`, and writes what is true of all blocks into `config`. The answer is what a
/// person should know: which announced ones are taken as zero because no block has them.
///
/// # Errors
/// [`Error::Invalid`] for a bias that is not announced, where blocks differ, and where none of those that a field announces is
/// there.
pub(super) fn settle(
    file: &str,
    config: &mut Config,
    is_there: impl Fn(Linear, usize) -> bool,
) -> Result<Option<String>> {
    let num_blocks = config.num_hidden_layers;
    let found = |linear: &Linear| (0..num_blocks).any(|block| is_there(*linear, block));
    let all = Linear::all_of(config);
    let announced =
        |linear: &Linear| (0..num_blocks).any(|block| Module::Linear(block, *linear).has_bias(config));
    let path = |linear: Linear, block: usize| {
        Name { module: Module::Linear(block, linear), field: Field::Bias }.path(config)
    };
    for linear in all.iter().filter(|linear| found(linear)) {
        if let Some(block) = (0..num_blocks).find(|block| !is_there(*linear, *block)) {
            let problem = "the tensor is missing, although other blocks have theirs";
            let remedy = "The weights are incomplete, or belong to another config.json";
            return Err(Error::invalid(file, path(*linear, block), problem, remedy));
        }
        if !announced(linear) {
            let field = linear.bias_field();
            let (there, not) = listed(linear.bias_field(), config, found);
            let problem =
                format!("{there}{not}, but config.json does not announce such a bias ({field} is not true)");
            let remedy = format!("Set {field} to true in config.json if the model has them");
            return Err(Error::invalid(file, path(*linear, 0), problem, remedy));
        }
    }
    for field in ["attention_bias", "mlp_bias"] {
        let mut meant = all.iter().filter(|linear| linear.bias_field() == field && announced(linear));
        let Some(first) = meant.clone().next() else { continue };
        if !meant.any(found) {
            let (_, not) = listed(field, config, found);
            let problem =
                format!("the tensor is missing{not}, although config.json announces biases ({field})");
            let remedy = format!(
                "Set {field} to false in config.json if the model has none; otherwise the weights are incomplete"
            );
            return Err(Error::invalid(file, path(*first, 0), problem, remedy));
        }
    }
    let absent: Vec<_> = all.iter().copied().filter(|linear| announced(linear) && !found(linear)).collect();
    let names = config.tensors;
    for block in &mut config.decoder.blocks {
        for linear in &absent {
            let (projection, part) = linear.part_of();
            if let Some(flag) = projection.biases_mut(&mut block.biases).get_mut(part) {
                *flag = false;
            }
        }
    }
    let absent: Vec<_> = absent.into_iter().filter_map(|linear| linear.path(&names)).collect();
    Ok((!absent.is_empty()).then(|| {
        format!(
            "config.json announces biases of {}, but there are none: they count as zero",
            absent.join(", ")
        )
    }))
}

/// Those of a field that are there, and those that are not, in words.
fn listed(field: &str, config: &Config, found: impl Fn(&Linear) -> bool) -> (String, String) {
    let of_field = Linear::all_of(config).into_iter().filter(|linear| linear.bias_field() == field);
    let (there, not): (Vec<_>, Vec<_>) = of_field.partition(found);
    let paths = |linears: Vec<Linear>| {
        let paths: Vec<_> = linears.into_iter().filter_map(|linear| linear.path(&config.tensors)).collect();
        paths.join(", ")
    };
    let none_of = if not.is_empty() { String::new() } else { format!(", none of {}", paths(not)) };
    (format!("there are biases of {}", paths(there)), none_of)
}
