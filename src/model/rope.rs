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
    /// Reads `rope_theta` and `rope_scaling`, or the newer `rope_parameters` that holds both. A configuration without a base has
    /// `default_theta`.
    pub(super) fn read(fields: &Fields, default_theta: f64) -> Result<Self> {
        let empty = Map::new();
        let (object, name) = match fields.object("rope_parameters")? {
            Some(parameters) => (parameters, "rope_parameters"),
            None => (fields.object("rope_scaling")?.unwrap_or(&empty), "rope_scaling"),
        };
        let parameters = Parameters { fields, object, name: name.to_owned() };
        parameters.refuse_kinds_of_layers()?;
        parameters.read(default_theta)
    }

    /// Width of the part of a head that is turned.
    pub fn width(&self, head_dim: usize) -> usize {
        (head_dim as f64 * self.part) as usize
    }

    /// Which values of a head such checkpoints turn together.
    pub fn halves(&self, head_dim: usize) -> RotaryPairs {
        RotaryPairs::Halves { width: self.width(head_dim) }
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

/// `rope_parameters` or `rope_scaling`.
struct Parameters<'a> {
    fields: &'a Fields,
    object: &'a Map<String, Value>,
    name: String,
}

impl Parameters<'_> {
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

    fn read(&self, default_theta: f64) -> Result<Rope> {
        let theta = match self.number("rope_theta")? {
            Some(theta) => theta,
            None => self.fields.number_or("rope_theta", default_theta)?,
        };
        if !(theta.is_finite() && theta > 0.0) {
            return Err(self.fields.invalid("rope_theta", format!("{theta} is not a positive number")));
        }
        Ok(Rope { theta, scaling: self.scaling()?, part: self.part()? })
    }

    fn part(&self) -> Result<f64> {
        const FIELD: &str = "partial_rotary_factor";
        let part = match self.number(FIELD)? {
            Some(part) => part,
            None => self.fields.number_or(FIELD, 1.0)?,
        };
        if part == 1.0 {
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
            other => Err(Error::unsupported(
                FILE,
                format!("{} type {other}", self.name),
                "Supported are default, linear and llama3",
            )),
        }
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
