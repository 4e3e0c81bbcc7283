//! Which kernels there are, and which settings use them.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use mobilellm::backend::gpu::Tier;

use super::line;
use super::setting::{Model, Setting, Weights};

/// The kernels by name, each with flags that lead to it: one set a tier that uses it.
pub(crate) struct Kernels(BTreeMap<&'static str, Vec<String>>);

impl Kernels {
    /// Those of a model. Flags are as few as can be, beside `--format` with these weights.
    pub(crate) fn of(model: &Model, weights: Weights) -> Result<Self, String> {
        let mut kernels: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for tier in Tier::ALL {
            let mut seen = BTreeSet::new();
            for (flags, setting) in settings(*tier, weights) {
                for call in model.plan(setting)?.calls() {
                    if seen.insert(call.shader.name()) {
                        kernels.entry(call.shader.name()).or_default().push(flags.clone());
                    }
                }
            }
        }
        Ok(Self(kernels))
    }

    /// One a line.
    pub(crate) fn list(&self) -> String {
        let width = self.0.keys().map(|name| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, uses) in &self.0 {
            line(&mut text, format!("{name:width$}  {}", uses.join(" | ")));
        }
        text
    }

    /// Why there is no kernel of this name.
    pub(crate) fn why_not(&self, name: &str) -> String {
        match self.0.get(name) {
            Some(uses) => format!("these flags do not lead to {name}; these do:\n  {}", uses.join("\n  ")),
            None => format!(
                "there is no kernel {name:?}; there are, with the flags that they need:\n{}",
                self.list()
            ),
        }
    }
}

/// The settings of a tier with their flags, those with the fewest first.
fn settings(tier: Tier, weights: Weights) -> Vec<(String, Setting)> {
    let mut formats = Weights::value_variants().to_vec();
    formats.sort_by_key(|format| *format != weights);
    let mut settings = Vec::new();
    for weights in formats {
        for int8_tiles in [false, true] {
            let setting = Setting { tier, weights, int8_tiles };
            // The first are those that were asked for, and need no flag.
            let name = weights.to_possible_value().filter(|_| settings.len() >= 2);
            let format = name.map(|name| format!(" --format {}", name.get_name()));
            settings.push((format!("{setting}{}", format.unwrap_or_default()), setting));
        }
    }
    settings
}
