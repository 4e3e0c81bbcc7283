//! Rotary position embedding, as `config.json` describes it.

use serde_json::{Map, Value};

use crate::error::Result;
use crate::model::fields::Fields;

/// Rotary position embedding: base frequency and its scaling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Base of the geometric frequencies.
    pub theta: f64,
    /// How the frequencies are stretched for longer contexts.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched.
#[derive(Debug, Clone, Copy, PartialEq)]
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
}

impl Rope {
    /// Reads `rope_theta` and `rope_scaling`, or the newer `rope_parameters` that holds both.
    pub(super) fn read(fields: &Fields) -> Result<Self> {
        let empty = Map::new();
        let (object, name) = match fields.object("rope_parameters")? {
            Some(parameters) => (parameters, "rope_parameters"),
            None => (fields.object("rope_scaling")?.unwrap_or(&empty), "rope_scaling"),
        };
        let parameters = Parameters { fields, object, name };
        parameters.refuse_foreign()?;
        let theta = match parameters.number("rope_theta")? {
            Some(theta) => theta,
            None => fields.number_or("rope_theta", 10_000.0)?,
        };
        if !(theta.is_finite() && theta > 0.0) {
            return Err(fields.invalid("rope_theta", format!("{theta} is not a positive number")));
        }
        Ok(Self { theta, scaling: parameters.scaling()? })
    }
}

/// `rope_parameters` or `rope_scaling`.
struct Parameters<'a> {
    fields: &'a Fields,
    object: &'a Map<String, Value>,
    name: &'static str,
}

impl Parameters<'_> {
    fn number(&self, field: &str) -> Result<Option<f64>> {
        self.fields.number(self.object, field, &format!("{}.{field}", self.name))
    }

    fn positive(&self, field: &str) -> Result<f64> {
        self.number(field)?.filter(|value| value.is_finite() && *value > 0.0).ok_or_else(|| {
            self.fields.invalid(&format!("{}.{field}", self.name), "it must be a positive number")
        })
    }

    /// Rotation of a part of each head, and parameters that differ from layer to layer.
    fn refuse_foreign(&self) -> Result<()> {
        let partial = match self.number("partial_rotary_factor")? {
            Some(factor) => factor,
            None => self.fields.number_or("partial_rotary_factor", 1.0)?,
        };
        if partial != 1.0 {
            let what = format!("partial_rotary_factor {partial}");
            return Err(self.fields.unsupported(what, "Only whole heads are rotated"));
        }
        match self.object.iter().find(|(_, value)| value.is_object()) {
            Some((kind, _)) => Err(self.fields.unsupported(
                format!("{}.{kind}", self.name),
                "All layers must have the same rotary embedding",
            )),
            None => Ok(()),
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
            other => Err(self.fields.unsupported(
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
    pub(super) fn apply(self, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
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
