//! Rotary position embedding, as `config.json` describes it.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::model::decoder::{LongRotary, Rotary, RotaryPairs};
use crate::model::fields::{FILE, Fields};

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
    ///
    /// A file may have both forms. Where they differ, nobody can say which one the weights were trained with: that is an
    /// error. (transformers takes `rope_scaling` without a word.)
    pub(super) fn read(fields: &Fields, rules: RopeRules) -> Result<Self> {
        if let Some(kind) = rules.kind {
            return Self::of_kind(fields, kind, "rope_theta", true, rules);
        }
        let forms = Parameters::all(fields)?;
        for form in &forms {
            if let Some((kind, _)) = form.object.iter().find(|(_, value)| value.is_object()) {
                let what = format!("{}.{kind}", form.name);
                let remedy = "All layers of this family must have the same rotary embedding";
                return Err(fields.unsupported(what, remedy));
            }
        }
        Self::of_forms(fields, "rope_theta", &forms, rules)
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
        let mut forms = Vec::new();
        for form in Parameters::all(fields)? {
            let has_kinds = form.object.values().any(Value::is_object);
            match form.object.get(kind) {
                Some(Value::Object(object)) => {
                    forms.push(Parameters { fields, object, name: format!("{}.{kind}", form.name) });
                }
                None | Some(Value::Null) if scaled && !has_kinds => forms.push(form),
                None | Some(Value::Null) => {}
                Some(_) => {
                    return Err(fields.invalid(&format!("{}.{kind}", form.name), "it must be an object"));
                }
            }
        }
        Self::of_forms(fields, theta_field, &forms, rules)
    }

    fn of_forms(
        fields: &Fields,
        theta_field: &str,
        forms: &[Parameters<'_>],
        rules: RopeRules,
    ) -> Result<Self> {
        let theta = agreed(fields, (theta_field, "rope_theta"), forms)?
            .unwrap_or((rules.theta, theta_field.to_owned()));
        if !(theta.0.is_finite() && theta.0 > 0.0) {
            return Err(fields.invalid(&theta.1, format!("{} is not a positive number", theta.0)));
        }
        let part = part(fields, forms, rules)?;
        let mut scalings =
            forms.iter().map(|form| form.scaling(rules)).collect::<Result<Vec<_>>>()?.into_iter().zip(forms);
        let Some((scaling, first)) = scalings.next() else {
            return Ok(Self { theta: theta.0, scaling: RopeScaling::None, part });
        };
        match scalings.find(|(other, _)| *other != scaling) {
            None => Ok(Self { theta: theta.0, scaling, part }),
            Some((other, form)) => {
                Err(contradiction((&first.name, &scaling.words()), (&form.name, &other.words())))
            }
        }
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
        if self.part < 1.0 && (pairs == 0 || !self.width(head_dim).is_multiple_of(2)) {
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

/// The part of each head that is turned.
fn part(fields: &Fields, forms: &[Parameters<'_>], rules: RopeRules) -> Result<f64> {
    const FIELD: &str = "partial_rotary_factor";
    let part = agreed(fields, (FIELD, FIELD), forms)?.map_or(1.0, |(part, _)| part);
    let possible = if rules.partial_and_long { part > 0.0 && part <= 1.0 } else { part == 1.0 };
    if possible {
        Ok(part)
    } else {
        Err(fields.unsupported(format!("{FIELD} {part}"), "Only whole heads are rotated"))
    }
}

/// What holds for a family's rotary embedding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RopeRules {
    /// The base of a configuration that gives none.
    pub(super) theta: f64,
    /// It may turn only a part of each head, and have longrope's factors (Phi 3).
    pub(super) partial_and_long: bool,
    /// Which kind of layers in `rope_parameters` sees all positions, where kinds of layers have rotations of their own (Gemma 3).
    pub(super) kind: Option<&'static str>,
}

/// A number that may stand at the `top` of the file and, as `field`, in each of `forms`, with the name of the field that says it.
fn agreed(
    fields: &Fields,
    (top, field): (&str, &str),
    forms: &[Parameters<'_>],
) -> Result<Option<(f64, String)>> {
    let mut said: Option<(f64, String)> = fields.number(top)?.map(|number| (number, top.to_owned()));
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

/// `rope_parameters` or `rope_scaling`, or what one of them says of a kind of layers.
struct Parameters<'a> {
    fields: &'a Fields,
    object: &'a Map<String, Value>,
    name: String,
}

impl<'a> Parameters<'a> {
    /// Those that the file has; an empty object says nothing.
    fn all(fields: &'a Fields) -> Result<Vec<Self>> {
        let mut forms = Vec::new();
        for name in ["rope_parameters", "rope_scaling"] {
            if let Some(object) = fields.object(name)?.filter(|object| !object.is_empty()) {
                forms.push(Self { fields, object, name: name.to_owned() });
            }
        }
        Ok(forms)
    }

    fn number(&self, field: &str) -> Result<Option<f64>> {
        self.fields.number_in(self.object, field, &format!("{}.{field}", self.name))
    }

    fn positive(&self, field: &str) -> Result<f64> {
        self.number(field)?.filter(|value| value.is_finite() && *value > 0.0).ok_or_else(|| {
            self.fields.invalid(&format!("{}.{field}", self.name), "it must be a positive number")
        })
    }

    fn scaling(&self, rules: RopeRules) -> Result<RopeScaling> {
        match self.kind()? {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear { factor: self.positive("factor")? }),
            "llama3" => self.llama3(),
            // The last two are Phi 3's first names for it.
            "longrope" | "su" | "yarn" if rules.partial_and_long => self.long(),
            other => Err(self.fields.unsupported(
                format!("{} type {other}", self.fields.name(&self.name)),
                "Supported are default, linear and llama3, and longrope for Phi 3",
            )),
        }
    }

    /// The formulas of transformers' `_compute_longrope_parameters`.
    fn long(&self) -> Result<RopeScaling> {
        const FIELD: &str = "original_max_position_embeddings";
        for field in ["short_mscale", "long_mscale"] {
            if self.number(field)?.is_some() {
                return Err(self.fields.unsupported(
                    format!("{}.{field}", self.name),
                    "The attention factor of longrope must follow from the lengths of the context",
                ));
            }
        }
        let original_max_position = match agreed(self.fields, (FIELD, FIELD), std::slice::from_ref(self))? {
            Some((positions, _)) if (1.0..=f64::from(1 << 24)).contains(&positions) => positions as usize,
            Some((_, name)) => return Err(self.fields.invalid(&name, "it must be a positive number")),
            None => 4096,
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
        match agreed(self.fields, (FIELD, FIELD), std::slice::from_ref(self))? {
            Some((positions, _)) if positions.is_finite() && positions > 0.0 => Ok(positions),
            Some((_, name)) => Err(self.fields.invalid(&name, "it must be a positive number")),
            None => Ok(self.fields.size("max_position_embeddings", 1 << 24)? as f64),
        }
    }
}

impl RopeScaling {
    /// As a person would say it.
    fn words(&self) -> String {
        match self {
            Self::None => "that nothing is stretched".to_owned(),
            Self::Linear { factor } => format!("linear by {factor}"),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position } => format!(
                "llama3 by {factor} (low_freq_factor {low_freq_factor}, high_freq_factor {high_freq_factor}, \
                 original_max_position_embeddings {original_max_position})"
            ),
            Self::Long { original_max_position, attention_factor, .. } => format!(
                "longrope (original_max_position_embeddings {original_max_position}, attention factor {attention_factor})"
            ),
        }
    }

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
