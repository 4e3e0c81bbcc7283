//! The list of kernels, and the settings that use each of them.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use mobilellm::backend::gpu::Tier;

use super::line;
use super::setting::{Family, Model, Setting, Weights};

/// The kernels by name. Each has one set of flags for every tier that uses it.
pub(crate) struct Kernels(BTreeMap<&'static str, Vec<String>>);

impl Kernels {
    /// The kernels of a model, with as few flags as possible. `weights` is the format that needs no flag.
    pub(crate) fn of(model: &Model, weights: Weights) -> Result<Self, String> {
        let mut kernels: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for tier in Tier::ALL {
            let mut seen = BTreeSet::new();
            for (flags, setting) in settings(*tier, weights, model.family()) {
                for call in model.plan(setting)?.calls() {
                    if seen.insert(call.shader.name()) {
                        kernels.entry(call.shader.name()).or_default().push(flags.clone());
                    }
                }
            }
        }
        Ok(Self(kernels))
    }

    /// The list as text, one kernel per line.
    pub(crate) fn list(&self) -> String {
        let width = self.0.keys().map(|name| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, uses) in &self.0 {
            line(&mut text, format!("{name:width$}  {}", uses.join(" | ")));
        }
        text
    }

    /// The error for a kernel that does not exist, or that these flags do not use.
    pub(crate) fn why_not(&self, name: &str) -> String {
        match self.0.get(name) {
            Some(uses) => {
                format!("no call uses {name} with these flags; use one of:\n  {}", uses.join("\n  "))
            }
            None => format!(
                "there is no kernel {name:?}; the kernels, with the flags that they need, are:\n{}",
                self.list()
            ),
        }
    }
}

/// The settings of a tier with their flags; those with the fewest flags come first.
fn settings(tier: Tier, weights: Weights, family: Family) -> Vec<(String, Setting)> {
    let others = Family::value_variants().iter().filter(|other| **other != family);
    let mut formats = Weights::value_variants().to_vec();
    formats.sort_by_key(|format| *format != weights);
    let mut settings = Vec::new();
    for weights in formats {
        for int8_tiles in [false, true] {
            let setting = Setting { family, tier, weights, int8_tiles };
            // The first two settings have the format `weights`, which needs no flag.
            let name = weights.to_possible_value().filter(|_| settings.len() >= 2);
            let format = name.map(|name| format!(" --format {}", name.get_name()));
            settings.push((format!("{setting}{}", format.unwrap_or_default()), setting));
        }
    }
    for other in others {
        let setting = Setting { family: *other, tier, weights, int8_tiles: false };
        if let Some(name) = other.to_possible_value() {
            settings.push((format!("{setting} --family {}", name.get_name()), setting));
        }
    }
    settings
}
