//! Rotary position embedding, as `config.json` describes it.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::model::decoder::{LongRotary, Rotary, RotaryPairs};
use crate::model::fields::{FILE, Fields, number};

/// Rotary position embedding: base frequency and its scaling.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the geometric frequencies.
    pub theta: f64,
    /// How the frequencies are stretched for longer contexts.
    pub scaling: RopeScaling,
    /// The part of each head that is turned, its beginning: above 0, at most 1.
    pub part: f64,
}

/// How rotary frequencies are stretched.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// They are not.
    None,
    /// All divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1's: low frequencies divided, high ones kept, a ramp between.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Wavelengths above `original_max_position / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_position / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context length of the first training.
        original_max_position: f64,
    },
    /// Longrope (arXiv 2402.13753): each frequency divided by its own factor, by another one in long texts.
    Long {
        /// Divisors, one a frequency.
        short: Vec<f64>,
        /// Divisors in texts of more than `original_max_position` positions.
        long: Vec<f64>,
        /// Context length of the first training.
        original_max_position: usize,
        /// Multiplied onto cosines and sines.
        attention_factor: f64,
    },
}

impl Rope {
    /// Reads `rope_theta` and `rope_scaling`, or the newer `rope_parameters` that holds both.
    pub(super) fn read(fields: &Fields, rules: RopeRules) -> Result<Self> {
        let empty = Map::new();
        let parameters = Parameters::of(fields, rules, &empty)?;
        parameters.refuse_kinds_of_layers()?;
        parameters.read("rope_theta")
    }

    /// The same for a family whose kinds of layers have their own: `rope_parameters` holds an object for each `kind`. In the
    /// older form `theta_field` is the base, and only layers that are `scaled` have the object `rope_scaling`.
    pub(super) fn of_kind(
        fields: &Fields,
        kind: &str,
        theta_field: &str,
        scaled: bool,
        rules: RopeRules,
    ) -> Result<Self> {
        let empty = Map::new();
        if fields.object("rope_parameters")?.is_none() && !scaled {
            let parameters = Parameters { fields, object: &empty, name: "rope_scaling".to_owned(), rules };
            return parameters.read(theta_field);
        }
        let mut parameters = Parameters::of(fields, rules, &empty)?;
        if let Some(own) = parameters.object.get(kind).filter(|own| !own.is_null()) {
            parameters.name = format!("{}.{kind}", parameters.name);
            parameters.object =
                own.as_object().ok_or_else(|| fields.invalid(&parameters.name, "it must be an object"))?;
        } else if fields.object("rope_parameters")?.is_some() {
            parameters.object = &empty;
        }
        parameters.read(theta_field)
    }

    /// Width of the part of a head that is turned.
    pub fn width(&self, head_dim: usize) -> usize {
        (head_dim as f64 * self.part) as usize
    }

    /// Which values of a head such checkpoints turn together.
    pub fn halves(&self, head_dim: usize) -> RotaryPairs {
        RotaryPairs::Halves { width: self.width(head_dim) }
    }

    /// Checks it against the width of a head.
    pub(super) fn check(&self, fields: &Fields, head_dim: usize) -> Result<()> {
        let pairs = self.width(head_dim) / 2;
        if let RopeScaling::Long { short, long, .. } = &self.scaling
            && (short.len() != pairs || long.len() != pairs)
        {
            return Err(fields.invalid(
                "short_factor",
                format!(
                    "longrope has {} short and {} long factors, {pairs} pairs of a head are turned",
                    short.len(),
                    long.len()
                ),
            ));
        }
        if pairs == 0 || !self.width(head_dim).is_multiple_of(2) {
            return Err(fields.invalid("partial_rotary_factor", "it leaves no whole pairs of a head to turn"));
        }
        Ok(())
    }

    /// The frequencies of the pairs of a head.
    pub fn rotary(&self, head_dim: usize) -> Rotary {
        let width = self.width(head_dim);
        let plain = (0..width / 2).map(|i| self.theta.powf(-((2 * i) as f64) / width as f64));
        let scaled = |factors: &[f64]| {
            padded(plain.clone().zip(factors).map(|(frequency, factor)| frequency / factor), head_dim)
        };
        match &self.scaling {
            RopeScaling::Long { short, long, original_max_position, attention_factor } => Rotary {
                frequencies: scaled(short),
                attention_factor: *attention_factor,
                long: Some(LongRotary {
                    max_short_positions: *original_max_position,
                    frequencies: scaled(long),
                }),
            },
            scaling => Rotary {
                frequencies: padded(plain.map(|frequency| scaling.apply(frequency)), head_dim),
                attention_factor: 1.0,
                long: None,
            },
        }
    }
}

/// Pairs that are not turned have frequency 0.
fn padded(frequencies: impl Iterator<Item = f64>, head_dim: usize) -> Vec<f64> {
    frequencies.chain(std::iter::repeat(0.0)).take(head_dim / 2).collect()
}

/// What holds for a family's rotary embedding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RopeRules {
    /// The base of a configuration that gives none.
    pub(super) theta: f64,
    /// It may turn only a part of each head, and have longrope's factors (Phi 3).
    pub(super) partial_and_long: bool,
}

/// `rope_parameters` or `rope_scaling`, or what one of them says of a kind of layers.
struct Parameters<'a> {
    fields: &'a Fields,
    object: &'a Map<String, Value>,
    name: String,
    rules: RopeRules,
}

impl<'a> Parameters<'a> {
    fn of(fields: &'a Fields, rules: RopeRules, empty: &'a Map<String, Value>) -> Result<Self> {
        let (object, name) = match fields.object("rope_parameters")? {
            Some(parameters) => (parameters, "rope_parameters"),
            None => (fields.object("rope_scaling")?.unwrap_or(empty), "rope_scaling"),
        };
        Ok(Self { fields, object, name: name.to_owned(), rules })
    }

    fn number(&self, field: &str) -> Result<Option<f64>> {
        number(self.object, field, &format!("{}.{field}", self.name))
    }

    fn positive(&self, field: &str) -> Result<f64> {
        self.number(field)?.filter(|value| value.is_finite() && *value > 0.0).ok_or_else(|| {
            self.fields.invalid(&format!("{}.{field}", self.name), "it must be a positive number")
        })
    }

    /// Parameters that differ from layer to layer.
    fn refuse_kinds_of_layers(&self) -> Result<()> {
        match self.object.iter().find(|(_, value)| value.is_object()) {
            Some((kind, _)) => Err(Error::unsupported(
                FILE,
                format!("{}.{kind}", self.name),
                "All layers of this family must have the same rotary embedding",
            )),
            None => Ok(()),
        }
    }

    fn read(&self, theta_field: &str) -> Result<Rope> {
        let theta = match self.number("rope_theta")? {
            Some(theta) => theta,
            None => self.fields.number_or(theta_field, self.rules.theta)?,
        };
        if !(theta.is_finite() && theta > 0.0) {
            return Err(self.fields.invalid(theta_field, format!("{theta} is not a positive number")));
        }
        Ok(Rope { theta, scaling: self.scaling()?, part: self.part()? })
    }

    fn part(&self) -> Result<f64> {
        const FIELD: &str = "partial_rotary_factor";
        let part = match self.number(FIELD)? {
            Some(part) => part,
            None => self.fields.number_or(FIELD, 1.0)?,
        };
        let possible = if self.rules.partial_and_long { part > 0.0 && part <= 1.0 } else { part == 1.0 };
        if possible {
            Ok(part)
        } else {
            Err(Error::unsupported(FILE, format!("{FIELD} {part}"), "Only whole heads are rotated"))
        }
    }

    fn scaling(&self) -> Result<RopeScaling> {
        let kind = ["rope_type", "type"].into_iter().find_map(|field| {
            self.object.get(field).filter(|value| !value.is_null()).map(|value| (field, value))
        });
        let kind = match kind {
            None => "default",
            Some((field, value)) => value.as_str().ok_or_else(|| {
                self.fields.invalid(&format!("{}.{field}", self.name), "it must be a string")
            })?,
        };
        match kind {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear { factor: self.positive("factor")? }),
            "llama3" => self.llama3(),
            // Phi 3's first names for it.
            "longrope" | "su" | "yarn" if self.rules.partial_and_long => self.long(),
            other => Err(Error::unsupported(
                FILE,
                format!("{} type {other}", self.name),
                "Supported are default, linear and llama3, and longrope for Phi 3",
            )),
        }
    }

    /// The formulas of transformers' `_compute_longrope_parameters`.
    fn long(&self) -> Result<RopeScaling> {
        for field in ["short_mscale", "long_mscale"] {
            if self.number(field)?.is_some() {
                return Err(Error::unsupported(
                    FILE,
                    format!("{}.{field}", self.name),
                    "The attention factor of longrope must follow from the lengths of the context",
                ));
            }
        }
        const FIELD: &str = "original_max_position_embeddings";
        let original_max_position = match self.number(FIELD)? {
            Some(_) if self.fields.get(FIELD).is_none() => self.positive(FIELD)? as usize,
            _ => self.fields.size_or(FIELD, 1 << 24, 4096)?,
        };
        let original = original_max_position as f64;
        let factor = match self.number("factor")? {
            Some(_) => self.positive("factor")?,
            None => self.fields.size_or("max_position_embeddings", 1 << 24, 4096)? as f64 / original,
        };
        let attention_factor = match self.number("attention_factor")? {
            Some(_) => self.positive("attention_factor")?,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + factor.ln() / original.ln()).sqrt(),
        };
        Ok(RopeScaling::Long {
            short: self.divisors("short_factor")?,
            long: self.divisors("long_factor")?,
            original_max_position,
            attention_factor,
        })
    }

    fn divisors(&self, field: &str) -> Result<Vec<f64>> {
        let list = self.object.get(field).and_then(Value::as_array);
        let numbers = list.and_then(|list| list.iter().map(Value::as_f64).collect::<Option<Vec<_>>>());
        numbers.filter(|list| list.iter().all(|divisor| divisor.is_finite() && *divisor > 0.0)).ok_or_else(
            || {
                self.fields
                    .invalid(&format!("{}.{field}", self.name), "it must be a list of positive numbers")
            },
        )
    }

    fn llama3(&self) -> Result<RopeScaling> {
        let low_freq_factor = self.positive("low_freq_factor")?;
        let high_freq_factor = self.positive("high_freq_factor")?;
        if low_freq_factor >= high_freq_factor {
            let field = format!("{}.low_freq_factor", self.name);
            return Err(self.fields.invalid(&field, "it must be below high_freq_factor"));
        }
        Ok(RopeScaling::Llama3 {
            factor: self.positive("factor")?,
            low_freq_factor,
            high_freq_factor,
            original_max_position: self.original_max_position()?,
        })
    }

    /// Beside the object, in it, or the same as the context of today, in this order, as transformers looks for it.
    fn original_max_position(&self) -> Result<f64> {
        const FIELD: &str = "original_max_position_embeddings";
        if self.fields.get(FIELD).is_none() && self.number(FIELD)?.is_some() {
            return self.positive(FIELD);
        }
        let field = if self.fields.get(FIELD).is_some() { FIELD } else { "max_position_embeddings" };
        Ok(self.fields.size(field, 1 << 24)? as f64)
    }
}

impl RopeScaling {
    /// The stretched frequency; the formula of transformers' `_compute_llama3_parameters`.
    fn apply(&self, frequency: f64) -> f64 {
        match *self {
            // Each frequency has a factor of its own.
            Self::None | Self::Long { .. } => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position } => {
                let wavelength = 2.0 * std::f64::consts::PI / frequency;
                if wavelength < original_max_position / high_freq_factor {
                    frequency
                } else if wavelength > original_max_position / low_freq_factor {
                    frequency / factor
                } else {
                    let smooth = (original_max_position / wavelength - low_freq_factor)
                        / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            }
        }
    }
}
