//! Rotary position embedding, as `config.json` describes it.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::model::fields::{FILE, Fields, number};

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
    ///
    /// A file may have both forms. Where they differ, nobody can say which one the weights were trained with: that is an
    /// error. (transformers takes `rope_scaling` without a word.)
    pub(super) fn read(fields: &Fields) -> Result<Self> {
        let forms = Parameters::all(fields)?;
        refuse_foreign(fields, &forms)?;
        let theta = agreed(fields, "rope_theta", &forms)?.unwrap_or((10_000.0, "rope_theta".to_owned()));
        if !(theta.0.is_finite() && theta.0 > 0.0) {
            return Err(fields.invalid(&theta.1, format!("{} is not a positive number", theta.0)));
        }
        let scalings = forms.iter().map(Parameters::scaling).collect::<Result<Vec<_>>>()?;
        let scaling = scalings.first().copied().unwrap_or(RopeScaling::None);
        match scalings.iter().zip(&forms).find(|(other, _)| **other != scaling) {
            None => Ok(Self { theta: theta.0, scaling }),
            Some((other, form)) => {
                let first = forms.first().map_or("", |form| form.name);
                Err(contradiction((first, &scaling.words()), (form.name, &other.words())))
            }
        }
    }
}

/// Rotation of a part of each head, and parameters that differ from layer to layer.
fn refuse_foreign(fields: &Fields, forms: &[Parameters<'_>]) -> Result<()> {
    for form in forms {
        if let Some((kind, _)) = form.object.iter().find(|(_, value)| value.is_object()) {
            let what = format!("{}.{kind}", form.name);
            return Err(Error::unsupported(FILE, what, "All layers must have the same rotary embedding"));
        }
    }
    match agreed(fields, "partial_rotary_factor", forms)? {
        Some((partial, _)) if partial != 1.0 => {
            let what = format!("partial_rotary_factor {partial}");
            Err(Error::unsupported(FILE, what, "Only whole heads are rotated"))
        }
        _ => Ok(()),
    }
}

/// A number that may stand at the top of the file and in each of `forms`, with the name of the field that says it.
fn agreed(fields: &Fields, field: &str, forms: &[Parameters<'_>]) -> Result<Option<(f64, String)>> {
    let mut said: Option<(f64, String)> = fields.number(field)?.map(|number| (number, field.to_owned()));
    for form in forms {
        let Some(number) = form.number(field)? else { continue };
        let name = format!("{}.{field}", form.name);
        match &said {
            None => said = Some((number, name)),
            Some((other, _)) if *other == number => {}
            Some((other, first)) => {
                return Err(contradiction((first, &other.to_string()), (&name, &number.to_string())));
            }
        }
    }
    Ok(said)
}

/// The error for two fields that say the same thing in different ways.
fn contradiction((one, said): (&str, &str), (other, says): (&str, &str)) -> Error {
    let problem = format!("it says {said}, but {other} says {says}");
    Error::invalid(FILE, one, problem, "They must agree: remove the one that is wrong from the file")
}

/// `rope_parameters` or `rope_scaling`.
struct Parameters<'a> {
    fields: &'a Fields,
    object: &'a Map<String, Value>,
    name: &'static str,
}

impl<'a> Parameters<'a> {
    /// Those that the file has; an empty object says nothing.
    fn all(fields: &'a Fields) -> Result<Vec<Self>> {
        let mut forms = Vec::new();
        for name in ["rope_parameters", "rope_scaling"] {
            if let Some(object) = fields.object(name)?.filter(|object| !object.is_empty()) {
                forms.push(Self { fields, object, name });
            }
        }
        Ok(forms)
    }

    fn number(&self, field: &str) -> Result<Option<f64>> {
        number(self.object, field, &format!("{}.{field}", self.name))
    }

    fn positive(&self, field: &str) -> Result<f64> {
        self.number(field)?.filter(|value| value.is_finite() && *value > 0.0).ok_or_else(|| {
            self.fields.invalid(&format!("{}.{field}", self.name), "it must be a positive number")
        })
    }

    fn scaling(&self) -> Result<RopeScaling> {
        match self.kind()? {
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

    /// Its type: `rope_type`, in older files `type`.
    fn kind(&self) -> Result<&str> {
        let text = |field: &str| match self.object.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_str()
                .map(Some)
                .ok_or_else(|| self.fields.invalid(&format!("{}.{field}", self.name), "it must be a string")),
        };
        match (text("rope_type")?, text("type")?) {
            (Some(new), Some(old)) if new != old => {
                let name = |field: &str| format!("{}.{field}", self.name);
                Err(contradiction((&name("rope_type"), new), (&name("type"), old)))
            }
            (new, old) => Ok(new.or(old).unwrap_or("default")),
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

    /// Beside the object or in it; where neither says, the context of today, as transformers has it.
    fn original_max_position(&self) -> Result<f64> {
        const FIELD: &str = "original_max_position_embeddings";
        match agreed(self.fields, FIELD, std::slice::from_ref(self))? {
            Some((positions, _)) if positions.is_finite() && positions > 0.0 => Ok(positions),
            Some((_, name)) => Err(self.fields.invalid(&name, "it must be a positive number")),
            None => Ok(self.fields.size("max_position_embeddings", 1 << 24)? as f64),
        }
    }
}

impl RopeScaling {
    /// As a person would say it.
    fn words(self) -> String {
        match self {
            Self::None => "that nothing is stretched".to_owned(),
            Self::Linear { factor } => format!("linear by {factor}"),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position } => format!(
                "llama3 by {factor} (low_freq_factor {low_freq_factor}, high_freq_factor {high_freq_factor}, \
                 original_max_position_embeddings {original_max_position})"
            ),
        }
    }

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
